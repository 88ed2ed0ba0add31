"""Four common claims about ECG classifiers' errors, and whether the numbers bear them out.

Each takes the content of errors.json (see `tools.analyse_errors`) and returns claim, verdict, the rule it follows,
and the numbers. "No difference" is only concluded from an interval within the margin of
`evaluation.error_analysis.EXACT_MATCH_MARGIN`, never from a difference that is merely not significant.
"""

from evaluation.tables import difference_cell, percent_cell

HOLDS, IN_PART, DOES_NOT_HOLD, UNKNOWN = "holds", "holds in part", "does not hold", "cannot be told"


def conclusions(content: dict) -> list[dict]:
    """The claims that the networks at hand allow to look at."""
    found = []
    if "stability" in content:
        found.append(ensembles_claim(content))
    if "seed_errors" in content:
        found.append(systematic_claim(content))
    if len(content["architectures"]["networks"]) > 1:
        found.append(saturation_claim(content))
    found.append(ambiguity_claim(content))
    return found


def ensembles_claim(content: dict) -> dict:
    exact_match = content["seeds"]["exact_match"]
    gain, test = exact_match["ensemble_minus_single"], exact_match["equivalence"]
    auroc = content["seeds"]["auroc"]["ensemble_minus_single"]
    single, pair = (content["stability"][key] for key in ("single_against_single", "pair_against_pair"))
    if pair >= single:
        verdict = DOES_NOT_HOLD
    elif test["ci90"][1] < test["margin"]:
        verdict = HOLDS
    else:
        verdict = IN_PART if gain["ci95"][0] > 0 else UNKNOWN
    return {
        "claim": "Ensembles improve stability, not accuracy.",
        "verdict": verdict,
        "rule": "holds if ensembles of two disagree less than single seeds and the 90 % interval of the gain in exact "
        f"match of the ensemble of all stays below {test['margin']:g}; in part if they disagree less and the gain is "
        "significant",
        "numbers": f"Decisions differ in {single:.1%} between two seeds and in {pair:.1%} between two ensembles of "
        f"two. The ensemble gains {difference_cell(gain)} exact match{_ninety(test)} and {difference_cell(auroc)} "
        "AUROC over the mean single seed.",
    }


def systematic_claim(content: dict) -> dict:
    shared, share = content["seed_errors"], content["squared_error"]["variance_share"]
    count, everywhere = len(content["architectures"]["networks"]), content["architectures"]["share_wrong_in_all"]
    across = f" Across {count} architectures {everywhere:.0%} of a network's wrong decisions are wrong in all."
    return {
        "claim": "Remaining errors are systematic, not variance.",
        "verdict": HOLDS if shared["share_wrong_in_all"] >= 0.5 and share <= 0.25 else DOES_NOT_HOLD,
        "rule": "holds if at least half of a seed's wrong decisions are wrong in every seed and the variance among "
        "seeds makes up at most a quarter of the squared error",
        "numbers": f"{shared['share_wrong_in_all']:.0%} of a seed's wrong decisions are wrong in all "
        f"{len(shared['networks'])} seeds (independent errors: {shared['share_by_chance']:.2%}); variance is "
        f"{share:.1%} of the squared error." + (across if count > 1 else ""),
    }


def saturation_claim(content: dict) -> dict:
    facts = content["accuracy_and_auroc"]
    auroc, accuracy, test = (
        facts[key] for key in ("auroc_difference", "exact_match_difference", "exact_match_equivalence")
    )
    if auroc["ci95"][0] <= 0:
        verdict = UNKNOWN
    elif test["equivalent"]:
        verdict = HOLDS
    else:
        verdict = DOES_NOT_HOLD if accuracy["ci95"][0] > 0 else UNKNOWN
    best = content["metrics"][facts["best"]]
    return {
        "claim": "Accuracy saturates while AUROC stays high.",
        "verdict": verdict,
        "rule": "can be told if the network of highest AUROC beats the one of lowest AUROC significantly in AUROC; it "
        f"holds if the 90 % interval of their difference in exact match lies within ±{test['margin']:g}, and does not "
        "hold if that difference is significantly above 0",
        "numbers": f"{facts['best']} against {facts['worst']}: {difference_cell(auroc)} AUROC, "
        f"{difference_cell(accuracy)} exact match{_ninety(test)}. {facts['best']} has macro AUROC "
        f"{best['auroc']['value']:.3f} and all five classes right in {best['exact_match']['value']:.1%} of ECGs.",
    }


def _ninety(test: dict) -> str:
    low, high = test["ci90"]
    return f" (90 %: {low:+.4f} to {high:+.4f})"


def ambiguity_claim(content: dict) -> dict:
    facts = content["clear_and_doubtful"]
    explained = facts["explained_share"]["value"]
    if facts["difference"]["ci95"][0] <= 0:
        verdict = DOES_NOT_HOLD
    else:
        verdict = HOLDS if explained >= 0.5 else IN_PART
    return {
        "claim": "Label ambiguity, disagreement of observers and borderline patterns set a ceiling.",
        "verdict": verdict,
        "rule": "holds if doubtful ECGs (several superclasses, a statement below 100 %, or a hedging report) are wrong "
        "significantly more often and at least half of all errors would vanish if they had the error rate of clear "
        "ones; in part if only the first is true. Doubtful ECGs are also harder for other reasons, so this is an upper "
        "bound",
        "numbers": f"Wrong about any class: {percent_cell(facts['error_rate_doubtful'])} of {facts['n_doubtful']:,} "
        f"doubtful ECGs, {percent_cell(facts['error_rate_clear'])} of {facts['n_clear']:,} clear ones; doubt explains "
        f"at most {percent_cell(facts['explained_share'])} of the errors.",
    }
