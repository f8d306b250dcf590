"""MIMIC-IV in MEDS: which item is which variable.

Codes are `LAB//<itemid>//<unit>` for charted and laboratory values and
`SUBJECT_FLUID_OUTPUT//<itemid>//<unit>`. Item ids are those of the dictionaries d_items and
d_labitems, LOINC codes those of the public mappings of MIT-LCP/mimic-code and OHDSI/MIMIC, except for
pressures of the arterial line, which these map to the codes of any pressure.

Laboratory values are taken from the laboratory alone, not a second time from their copies in the
chart. Blood gases carry no specimen here: venous ones are among them. Items that a person sets, such
as alarm limits, are left out. Every item has the name that the shipped catalogue may have for it, and
its LOINC code for a catalogue that has other names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from model.records.persons import FEMALE, MALE, SEX

BIRTH: Final = "MEDS_BIRTH"


@dataclass(frozen=True)
class Item:
    """The names of a variable, and the unit of an item whose code names none."""

    names: tuple[str, ...]
    unit: str


# item: (name, LOINC code, unit); one line an item, so that it reads as the table that it is.
# fmt: off
_CHARTED: Final = {
    220045: ("HR", "8867-4", "/min"),
    220050: ("SysABP", "76215-3", "mm[Hg]"),
    220051: ("DiasABP", "76213-8", "mm[Hg]"),
    220052: ("MAP", "76214-6", "mm[Hg]"),
    225309: ("SysABP", "76215-3", "mm[Hg]"),
    225310: ("DiasABP", "76213-8", "mm[Hg]"),
    225312: ("MAP", "76214-6", "mm[Hg]"),
    220179: ("NISysABP", "76534-7", "mm[Hg]"),
    220180: ("NIDiasABP", "76535-4", "mm[Hg]"),
    220181: ("NIMAP", "76536-2", "mm[Hg]"),
    220210: ("RespRate", "9279-1", "/min"),
    224690: ("RespRate", "9279-1", "/min"),
    220227: ("SaO2", "2708-6", "%"),
    220277: ("SpO2", "59408-5", "%"),
    223761: ("Temp", "8310-5", "[degF]"),
    223762: ("Temp", "8310-5", "Cel"),
    226329: ("TempCore", "60834-9", "Cel"),
    224359: ("QTc", "8636-3", "ms"),
    223835: ("FiO2", "3150-0", "%"),
    223834: ("O2Flow", "19941-4", "L/min"),
    228640: ("EtCO2", "19891-1", "mm[Hg]"),
    224639: ("Weight", "29463-7", "kg"),
    226512: ("weight_kg", "3141-9", "kg"),
    226730: ("height_cm", "8302-2", "cm"),
    # The parts of the coma scale by their codes, by which they are known to belong together.
    220739: ("9267-6", "GCSEye", "{score}"),
    223900: ("9270-0", "GCSVerbal", "{score}"),
    223901: ("9268-4", "GCSMotor", "{score}"),
    228096: ("RASS", "SNOMED//457441000124102", "{score}"),
    223791: ("Pain", "72514-3", "{score}"),
    225664: ("GlucoseFinger", "41653-7", "mg/dL"),
    220074: ("CVP", "60985-9", "mm[Hg]"),
    220059: ("PASys", "8440-0", "mm[Hg]"),
    220060: ("PADias", "8385-7", "mm[Hg]"),
    220061: ("PAMean", "8414-5", "mm[Hg]"),
    223771: ("PCWP", "75994-4", "mm[Hg]"),
    220765: ("ICP", "60956-0", "mm[Hg]"),
    227066: ("CPP", "61017-0", "mm[Hg]"),
    220088: ("CardiacOutput", "8741-1", "L/min"),
    224842: ("CardiacOutput", "8741-1", "L/min"),
    228178: ("CardiacOutput", "8741-1", "L/min"),
    228369: ("CardiacOutput", "8741-1", "L/min"),
    228368: ("CardiacIndex", "75919-1", "L/min/m2"),
    228177: ("CardiacIndex", "75919-1", "L/min/m2"),
    225674: ("SvO2", "19224-5", "%"),
    223772: ("SvO2", "19224-5", "%"),
    220339: ("PEEP", "20077-4", "cm[H2O]"),
    224685: ("TidalVolume", "76222-9", "mL"),
    224684: ("TidalVolumeSet", "20112-9", "mL"),
    224687: ("MinuteVolume", "75959-7", "L/min"),
    224688: ("VentRate", "19834-1", "/min"),
    224695: ("PeakPressure", "60951-1", "cm[H2O]"),
    224696: ("PlateauPressure", "76259-1", "cm[H2O]"),
    224697: ("MeanAirwayPressure", "60949-5", "cm[H2O]"),
    224701: ("PressureSupport", "20079-0", "cm[H2O]"),
}

_LABORATORY: Final = {
    50802: ("BaseExcess", "11555-0", "meq/L"),
    50804: ("TotalCO2", "34728-6", "meq/L"),
    50806: ("Chloride", "2069-3", "meq/L"),
    50808: ("CalciumIonized", "1994-3", "mmol/L"),
    50809: ("Glucose", "2339-0", "mg/dL"),
    50811: ("Hemoglobin", "718-7", "g/dL"),
    50813: ("Lactate", "32693-4", "mmol/L"),
    50816: ("FiO2", "3150-0", "%"),
    50817: ("SaO2", "20564-1", "%"),
    50818: ("PaCO2", "11557-6", "mm[Hg]"),
    50820: ("pH", "11558-4", "[pH]"),
    50821: ("PaO2", "11556-8", "mm[Hg]"),
    50822: ("K", "6298-4", "meq/L"),
    50824: ("Na", "2947-0", "meq/L"),
    50852: ("HbA1c", "4548-4", "%"),
    50861: ("ALT", "1742-6", "U/L"),
    50862: ("Albumin", "1751-7", "g/dL"),
    50863: ("ALP", "6768-6", "U/L"),
    50867: ("Amylase", "1798-8", "U/L"),
    50868: ("AnionGap", "1863-0", "meq/L"),
    50878: ("AST", "1920-8", "U/L"),
    50882: ("HCO3", "1963-8", "meq/L"),
    50883: ("BilirubinDirect", "1968-7", "mg/dL"),
    50884: ("BilirubinIndirect", "1971-1", "mg/dL"),
    50885: ("Bilirubin", "1975-2", "mg/dL"),
    50889: ("CRP", "1988-5", "mg/L"),
    50893: ("Calcium", "17861-6", "mg/dL"),
    50902: ("Chloride", "2075-0", "meq/L"),
    50904: ("HDL", "2085-9", "mg/dL"),
    50905: ("LDL", "13457-7", "mg/dL"),
    50907: ("Cholesterol", "2093-3", "mg/dL"),
    50909: ("Cortisol", "2143-6", "ug/dL"),
    50910: ("CK", "2157-6", "U/L"),
    50911: ("CKMB", "13969-1", "ng/mL"),
    50912: ("Creatinine", "2160-0", "mg/dL"),
    50924: ("Ferritin", "2276-4", "ng/mL"),
    50930: ("Globulin", "2336-6", "g/dL"),
    50931: ("Glucose", "2345-7", "mg/dL"),
    50952: ("Iron", "2498-4", "ug/dL"),
    50953: ("IronBindingCapacity", "2500-7", "ug/dL"),
    50954: ("LDH", "2532-0", "U/L"),
    50956: ("Lipase", "3040-3", "U/L"),
    50960: ("Mg", "19123-9", "mg/dL"),
    50963: ("NTproBNP", "33762-6", "pg/mL"),
    50964: ("Osmolality", "2692-2", "mosm/kg"),
    50970: ("Phosphate", "2777-1", "mg/dL"),
    50971: ("K", "2823-3", "meq/L"),
    50976: ("Protein", "2885-2", "g/dL"),
    50983: ("Na", "2951-2", "meq/L"),
    50993: ("TSH", "3016-3", "u[IU]/mL"),
    50995: ("FreeT4", "3024-7", "ng/dL"),
    50998: ("Transferrin", "3034-6", "mg/dL"),
    51000: ("Triglycerides", "2571-8", "mg/dL"),
    51002: ("TroponinI", "10839-9", "ug/L"),
    51003: ("TroponinT", "6598-7", "ug/L"),
    51006: ("BUN", "3094-0", "mg/dL"),
    51007: ("UricAcid", "3084-1", "mg/dL"),
    51009: ("Vancomycin", "20578-1", "ug/mL"),
    51133: ("LymphocyteCount", "731-0", "10*3/uL"),
    51200: ("Eosinophils", "713-8", "%"),
    51144: ("Bands", "26508-2", "%"),
    51146: ("Basophils", "706-2", "%"),
    51214: ("Fibrinogen", "3255-7", "mg/dL"),
    51221: ("HCT", "4544-3", "%"),
    51222: ("Hemoglobin", "718-7", "g/dL"),
    51237: ("INR", "6301-6", "{INR}"),
    51244: ("Lymphocytes", "736-9", "%"),
    51248: ("MCH", "785-6", "pg"),
    51249: ("MCHC", "786-4", "g/dL"),
    51250: ("MCV", "787-2", "fL"),
    51254: ("Monocytes", "5905-5", "%"),
    51256: ("Neutrophils", "770-8", "%"),
    51265: ("Platelets", "777-3", "10*3/uL"),
    51274: ("PT", "5902-2", "s"),
    51275: ("aPTT", "14979-9", "s"),
    51277: ("RDW", "788-0", "%"),
    51279: ("RBC", "789-8", "10*6/uL"),
    51288: ("ESR", "4537-7", "mm/h"),
    51301: ("WBC", "6690-2", "10*3/uL"),
    52135: ("ImmatureGranulocytes", "38518-7", "%"),
    52069: ("BasophilCount", "704-7", "10*3/uL"),
    52073: ("EosinophilCount", "711-2", "10*3/uL"),
    52074: ("MonocyteCount", "742-7", "10*3/uL"),
    52075: ("NeutrophilCount", "751-8", "10*3/uL"),
}

_URINE: Final = ("Urine", "9187-6", "mL")
_CHEST_TUBE: Final = ("ChestTube", "9129-8", "mL")
_DRAIN: Final = ("Drain", "9179-3", "mL")
_GASTRIC: Final = ("Gastric", "9149-6", "mL")
_STOOL: Final = ("Stool", "9217-1", "mL")
_OUTPUT: Final = {
    # Foley, void, condom catheter, ileoconduit, suprapubic, nephrostomies, straight catheter, stents.
    **dict.fromkeys(
        (226559, 226560, 226561, 226584, 226563, 226564, 226565, 226567, 226557, 226558), _URINE
    ),
    # Chest tubes, pleural and mediastinal drains.
    **dict.fromkeys((226588, 226589, 226590, 226591, 226592, 226593, 226595), _CHEST_TUBE),
    # Jackson-Pratt.
    **dict.fromkeys((226597, 226598, 226599, 226600, 226601, 226602), _DRAIN),
    # Gastric, nasogastric and orogastric tubes.
    **dict.fromkeys((226573, 226575, 226576), _GASTRIC),
    226571: ("Emesis", "9137-1", "mL"),
    226606: ("CSFDrain", "9122-3", "mL"),
    # Stool, fecal bag, ostomy, rectal tube.
    **dict.fromkeys((226579, 226580, 226582, 226583), _STOOL),
}
# fmt: on


def _items(prefix: str, table: Mapping[int, tuple[str, str, str]]) -> dict[str, Item]:
    return {
        f"{prefix}//{item}": Item((name, code), unit) for item, (name, code, unit) in table.items()
    }


ITEMS: Final = MappingProxyType(
    _items("LAB", _CHARTED | _LABORATORY) | _items("SUBJECT_FLUID_OUTPUT", _OUTPUT)
)
"""Items by the first two parts of a code."""

UNIT_SPELLINGS: Final = MappingProxyType(
    {
        "insp/min": "/min",
        "bpm": "/min",
        "units": "[pH]",
        "°F": "[degF]",
        "°C": "Cel",
        "K/uL": "10*3/uL",
        "m/uL": "10*6/uL",
        "IU/L": "U/L",
        "uIU/mL": "u[IU]/mL",
        "mm Hg": "mm[Hg]",
        "mmHg": "mm[Hg]",
        "cmH2O": "cm[H2O]",
        "mEq/L": "meq/L",
        "mOsm/kg": "mosm/kg",
        "g/dl": "g/dL",
        "ml": "mL",
        "sec": "s",
        "mm/hr": "mm/h",
    }
)
"""Units of MIMIC-IV in UCUM. `units` is what it writes for pH."""

CATEGORIES: Final = MappingProxyType(
    {
        **{f"GENDER//{one}": (SEX, FEMALE) for one in ("F", "Female", "FEMALE", "female", "8532")},
        **{f"GENDER//{one}": (SEX, MALE) for one in ("M", "Male", "MALE", "male", "8507")},
        "Gender/F": (SEX, FEMALE),
        "Gender/M": (SEX, MALE),
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
