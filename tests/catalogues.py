"""The catalogue that most tests speak: the variables of PhysioNet 2012, whatever else is shipped."""

from model.data.catalogue import shipped_catalogue

_VARIABLES = (
    *("Albumin", "ALP", "ALT", "AST", "Bilirubin", "BUN", "Cholesterol", "Creatinine", "DiasABP"),
    *("FiO2", "GCS", "Glucose", "HCO3", "HCT", "HR", "K", "Lactate", "Mg", "MAP", "MechVent", "Na"),
    *("NIDiasABP", "NIMAP", "NISysABP", "PaCO2", "PaO2", "pH", "Platelets", "RespRate", "SaO2"),
    *("SysABP", "Temp", "TroponinI", "TroponinT", "Urine", "WBC", "Weight"),
)
_STATICS = ("age_years", "sex", "height_cm", "weight_kg", "icu_type")

CHALLENGE = shipped_catalogue().select((*_VARIABLES, *_STATICS))
