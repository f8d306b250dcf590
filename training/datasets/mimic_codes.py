"""MIMIC-IV in MEDS: which item is which variable.

Codes are `LAB//<itemid>//<unit>` for charted and laboratory values and
`SUBJECT_FLUID_OUTPUT//<itemid>//<unit>`. Item ids are from the MIMIC-IV dictionaries d_items and
d_labitems. Laboratory values are taken from the laboratory alone, not a second time from their
copies in the chart. Blood gases carry no specimen here: venous ones are among them.
"""

from types import MappingProxyType

from training.datasets.codes import Target

GLASGOW_COMPONENTS = ("GCS eye", "GCS verbal", "GCS motor")
"""Names of the parts of the coma scale, which `training.datasets.glasgow` adds up."""

BIRTH = "MEDS_BIRTH"

_CHARTED = {
    220045: ("HR", "/min"),
    220050: ("SysABP", "mm[Hg]"),
    220051: ("DiasABP", "mm[Hg]"),
    220052: ("MAP", "mm[Hg]"),
    220179: ("NISysABP", "mm[Hg]"),
    220180: ("NIDiasABP", "mm[Hg]"),
    220181: ("NIMAP", "mm[Hg]"),
    220210: ("RespRate", "/min"),
    220227: ("SaO2", "%"),
    220277: ("SaO2", "%"),  # pulse oximeter
    220739: (GLASGOW_COMPONENTS[0], "{score}"),
    223761: ("Temp", "[degF]"),
    223762: ("Temp", "Cel"),
    223835: ("FiO2", "%"),
    223900: (GLASGOW_COMPONENTS[1], "{score}"),
    223901: (GLASGOW_COMPONENTS[2], "{score}"),
    224639: ("Weight", "kg"),
    226512: ("weight_kg", "kg"),
    226730: ("height_cm", "cm"),
}

_LABORATORY = {
    50813: ("Lactate", "mmol/L"),
    50816: ("FiO2", "%"),
    50818: ("PaCO2", "mm[Hg]"),
    50820: ("pH", "[pH]"),
    50821: ("PaO2", "mm[Hg]"),
    50861: ("ALT", "U/L"),
    50862: ("Albumin", "g/dL"),
    50863: ("ALP", "U/L"),
    50878: ("AST", "U/L"),
    50882: ("HCO3", "meq/L"),
    50885: ("Bilirubin", "mg/dL"),
    50907: ("Cholesterol", "mg/dL"),
    50912: ("Creatinine", "mg/dL"),
    50931: ("Glucose", "mg/dL"),
    50960: ("Mg", "mg/dL"),
    50971: ("K", "meq/L"),
    50983: ("Na", "meq/L"),
    51002: ("TroponinI", "ug/L"),
    51003: ("TroponinT", "ug/L"),
    51006: ("BUN", "mg/dL"),
    51221: ("HCT", "%"),
    51265: ("Platelets", "10*3/uL"),
    51301: ("WBC", "10*3/uL"),
}

# Foley, void, condom catheter, ileoconduit, suprapubic, nephrostomies, straight catheter, stents.
_URINE = (226559, 226560, 226561, 226584, 226563, 226564, 226565, 226567, 226557, 226558)

ITEMS = MappingProxyType(
    {f"LAB//{item}": Target(*target) for item, target in (_CHARTED | _LABORATORY).items()}
    | {f"SUBJECT_FLUID_OUTPUT//{item}": Target("Urine", "mL") for item in _URINE}
)
"""Target by the first two parts of a code, with the unit of an item whose code names none."""

UNIT_SPELLINGS = MappingProxyType({"insp/min": "/min", "units": "[pH]"})
"""Units of MIMIC-IV in words of its own. `units` is what it writes for pH."""

CATEGORIES = MappingProxyType(
    {
        "GENDER//F": ("sex", "female"),
        "GENDER//M": ("sex", "male"),
        "ICU_ADMISSION//Coronary Care Unit (CCU)": ("icu_type", "coronary"),
        "ICU_ADMISSION//Cardiac Vascular Intensive Care Unit (CVICU)": (
            "icu_type",
            "cardiac_surgery",
        ),
        "ICU_ADMISSION//Medical Intensive Care Unit (MICU)": ("icu_type", "medical"),
        "ICU_ADMISSION//Surgical Intensive Care Unit (SICU)": ("icu_type", "surgical"),
        "ICU_ADMISSION//Trauma SICU (TSICU)": ("icu_type", "surgical"),
    }
)
"""Codes that say a static by themselves: its name and category."""
