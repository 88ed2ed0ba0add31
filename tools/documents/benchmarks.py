"""Tables of speed: training, server, page."""

from evaluation.tables import markdown_table
from tools.documents import read_artifact

REQUESTS = {"json": "JSON", "npy": "NPY upload", "wfdb": "WFDB upload", "json, intervals": "JSON, with intervals"}
PAGE_TIMES = {  # key: name, aim in s
    "first_paint_s": ("first ECG on the screen", 3),
    "change_of_ecg_s": ("another ECG", 1),
    "explanation_s": ("explanation", 2),
}


def speed() -> str:
    """Training speed, with the machine it was measured on."""
    content = read_artifact("benchmark.json")
    machine, reference = content["machine"], content["networks"][0]["records_per_s"]
    rows = (
        [
            row["model"],
            f"{row['parameters']:,}",
            f"{row['records_per_s']:.0f}",
            f"{row['fastest_round_records_per_s']:.0f}",
            f"{row['records_per_s'] / reference:.2f}",
        ]
        for row in content["networks"]
    )
    header = ("network", "parameters", "training records/s, median", "fastest round", "ratio of medians")
    return (
        f"{machine['processor']}, {machine['instruction_set']}, {machine['threads']} thread, {content['precision']}, "
        f"batches of {content['batch_size']} crops of {content['window_s']:g} s:\n\n{markdown_table(header, rows)}"
    )


def serving() -> str:
    """Latency of one ECG in the server, and the server under load."""
    content = read_artifact("benchmark_api.json")
    machine, load = content["machine"], content["load"]
    rows = (
        [REQUESTS[name], f"{row['p50']:.1f}", f"{row['best_round_p50']:.1f}", row["target"]]
        for name, row in content["server_ms"].items()
    )
    errors = sum(count for status, count in load["statuses"].items() if int(status) >= 500)
    before, after = load["memory_mb"]
    return (
        f"One 10-s 12-lead ECG at 500 Hz, all three networks and quality, one core of {machine['processor']} "
        f"({machine['instruction_set']}), transfer excluded:\n\n"
        f"{markdown_table(('sent as', 'latency p50, ms', 'p50 of the best round, ms', 'aim'), rows)}\n\n"
        f"Under load, {load['clients']} clients for {load['seconds']:.0f} s, good and bad requests mixed, "
        f"{load['workers']} processes: {load['answers_per_s']:.0f} diagnoses/s, latency p50 "
        f"{load['answer_p50_ms']:.0f} ms and p99 {load['answer_p99_ms']:.0f} ms; {load['statuses'].get('429', 0):,} "
        f"requests rejected with 429, {errors} responses of 5xx, {load['wrong_answers']} that differ from those before "
        f"the load, {load['lost_connections']} lost connections; memory {before:.0f} MB after a fifth of the time and "
        f"{after:.0f} MB at the end."
    )


def unfinished_bodies() -> str:
    """Latency of one client while others hold unfinished bodies open."""
    rows = (
        [
            row["connections"],
            f"{row['p50_ms']:.1f}",
            f"{row['p95_ms']:.1f}",
            ", ".join(f"{count} × {status}" for status, count in row["statuses"].items()),
        ]
        for row in read_artifact("benchmark_api.json")["unfinished_bodies"]
    )
    return markdown_table(("unfinished bodies", "latency p50, ms", "p95, ms", "responses"), rows)


def page() -> str:
    """How long a reader waits, in a browser."""
    content = read_artifact("benchmark_page.json")["median_s"]
    rows = ([name, f"{content[key]:.2f}", aim] for key, (name, aim) in PAGE_TIMES.items())
    return markdown_table(("the page, in headless Chromium", "s, median", "aim"), rows)
