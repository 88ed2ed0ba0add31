"""Results of other networks on PTB-XL, as their authors published them."""

AL_MASUD = "[Al-Masud et al. 2025](https://arxiv.org/abs/2509.25095)"
STRODTHOFF = "[Strodthoff et al. 2021](https://doi.org/10.1109/JBHI.2020.3022989)"
PUBLISHED = (  # network, parameters, macro AUROC of the superclasses on fold 10, source
    ("ECGFounder, pre-trained on 10 M ECGs", "30.7 M", 0.9347, AL_MASUD),
    ("ECG-CPC, pre-trained on 10.7 M ECGs", "3.8 M", 0.9336, AL_MASUD),
    ("S4, no pre-training", "3.8 M", 0.932, AL_MASUD),
    ("resnet1d_wang", "0.47 M", 0.930, STRODTHOFF),
    ("xresnet1d101", None, 0.928, STRODTHOFF),
    ("fcn_wang", "0.31 M", 0.925, STRODTHOFF),
    ("ECG-JEPA, pre-trained", "85–93 M", 0.921, AL_MASUD),
    ("ECG-FM, pre-trained", "85–93 M", 0.916, AL_MASUD),
    ("HuBERT-ECG, pre-trained", "85–93 M", 0.909, AL_MASUD),
    ("ST-MEM, pre-trained", "85–93 M", 0.901, AL_MASUD),
)
