"""ECGs as Apple Health exports them, in several languages.

Written by hand after public descriptions of the format. English, German, Spanish, Japanese and Chinese words are those
of exports that others describe; those of the other languages are translations, there to show that no word matters.
"""

import numpy as np

from config import LEADS
from tests.support.ecg_files import RATE, TRUTH

NAME, BIRTH_DATE = "Erika Mustermann", "12 Aug 1964"
PRIVATE = ("Erika", "Mustermann", "12 Aug", "1964")

# keys of name, birth, moment, classification, symptoms, version, device, rate, lead, unit; then their words
HEADERS = {
    "English": (
        "Name|Date of Birth|Recorded Date|Classification|Symptoms|Software Version|Device|Sample Rate|Lead|Unit",
        ("Sinus Rhythm", "500 hertz", "Lead I", "µV"),
    ),
    "German": (
        "Name|Geburtstag|Aufzeichnungsdatum|Klassifizierung|Symptome|Softwareversion|Gerät|Messrate|Ableitung|Einheit",
        ("Sinusrhythmus", "500,0\u00a0Hertz", "Ableitung I", "µV"),
    ),
    "Spanish": (
        "Nombre|Fecha de nacimiento|Fecha de registro|Clasificación|Síntomas|Versión del software|Dispositivo|"
        "Frecuencia de muestreo|Derivación|Unidad",
        ("Ritmo sinusal", "500,0 hercios", "Derivación I", "µV"),
    ),
    "French": (
        "Nom|Date de naissance|Date d’enregistrement|Classification|Symptômes|Version du logiciel|Appareil|"
        "Fréquence d’échantillonnage|Dérivation|Unité",
        ("Rythme sinusal", "500 hertz", "Dérivation I", "μV"),
    ),
    "Japanese": (
        "名前|生年月日|記録日|分類|症状|ソフトウェアバージョン|デバイス|サンプルレート|リード|単位",
        ("洞調律", "500ヘルツ", "リードI", "µV"),
    ),
    "Chinese": (
        "姓名|出生日期|记录日期|分类|症状|软件版本|设备|采样率|导联|单位",
        ("窦性心律", "500赫兹", "导联I", "µV"),
    ),
    "Russian": (
        "Имя|Дата рождения|Дата записи|Классификация|Симптомы|Версия ПО|Устройство|Частота выборки|Отведение|Единица",
        ("Синусовый ритм", "500,0 герц", "Отведение I", "мкВ"),
    ),
    "a language of no list": (
        "A|B|C|D|E|F|G|H|I|J",
        ("K", "500 lmnop", "Qrst I", "µV"),
    ),
}


def watch_ecg(language: str = "English", samples: int = 5000, decimal: str = ".") -> str:
    """The truth's lead I as a watch's export in a language."""
    keys, (classification, rate, lead, unit) = HEADERS[language]
    values = (NAME, f'"{BIRTH_DATE}"', "2023-05-01 07:14:22 +0200", classification, "", "2.0", '"Watch6,7"', rate)
    pairs = [f"{key},{value}" for key, value in zip(keys.split("|"), (*values, lead, unit), strict=True)]
    numbers = [f"{value:.3f}".replace(".", decimal) for value in TRUTH[LEADS.index("I"), :samples]]
    return "\n".join([*pairs[:8], "", "", *pairs[8:], "", *numbers]) + "\n"


def assert_is_lead_one(recording, samples: int = 5000) -> None:
    """Lead I is the truth's, the others are missing."""
    assert recording.present.tolist() == [lead == "I" for lead in LEADS]
    assert recording.sampling_rate == RATE
    assert recording.signal.dtype == np.float32 and not recording.signal[1:].any()
    np.testing.assert_allclose(recording.signal[0], TRUTH[0, :samples] / 1000, atol=1e-6)
