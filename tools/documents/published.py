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

# Test set (fold 10), macro AUROC on super, sub, diagnostic, form, rhythm, all.
PUBLISHED_TASKS = (
    ("S4, no pre-training (Al-Masud et al. 2025)", "3.8 M", (0.932, 0.938, 0.943, 0.919, 0.956, 0.941)),
    ("ECGFounder (Al-Masud et al. 2025)", "30.7 M", (0.9347, 0.9428, 0.9499, 0.875, 0.9652, 0.934)),
    ("ECG-CPC (Al-Masud et al. 2025)", "3.8 M", (0.9336, 0.9398, 0.9509, 0.9341, 0.9594, 0.9493)),
    ("ECG-JEPA (Al-Masud et al. 2025)", "85-93 M", (0.921, 0.935, 0.946, 0.912, 0.956, 0.940)),
    ("ECG-FM (Al-Masud et al. 2025)", "85-93 M", (0.916, 0.932, 0.926, 0.904, 0.959, 0.927)),
    ("HuBERT-ECG (Al-Masud et al. 2025)", "85-93 M", (0.909, 0.919, 0.925, 0.860, 0.950, 0.915)),
    ("ST-MEM (Al-Masud et al. 2025)", "85-93 M", (0.901, 0.916, 0.904, 0.887, 0.951, 0.908)),
    ("xresnet1d101 (Strodthoff et al. 2021)", "large", (0.928, 0.929, 0.937, 0.896, 0.957, 0.925)),
)
