"""The catalogue that the project ships: the 37 series and 5 statics of PhysioNet 2012.

Units are UCUM, codes are LOINC (see NOTICE). Where the challenge's own page disagrees with its
values the values win: magnesium is documented in mmol/L, but its median of 2.0 is only plausible in
mg/dL.

Sources of the plausible ranges
    MIMIC-Extract (Wang et al. 2020, CHIL), VALID LOW to VALID HIGH of its variable_ranges.csv: as
    it is, widened where the 8,000 challenge records hold believable values beyond it, or narrowed
    where it admits values that no living patient has; and an audit of the challenge records (zero
    pressures, pH 735, temperatures of -17.8), whose limits stand in the data set's notes.

The recorded steps are those of the challenge records: the coarsest decimal step that more than
99 % of a variable's plausible values are multiples of. The mean pressure of the cuff has none (thirds
and whole numbers mixed). FiO2 is charted in steps of 0.05 at that hospital; 0.01, in which it
can be set, is kept for others.
"""

from model.data.variables import Catalogue, Kind, Static, Variable

_MIMIC = "MIMIC-Extract valid range"
_WIDENED = "MIMIC-Extract valid range, widened to believable challenge values"
_NARROWED = "MIMIC-Extract valid range, narrowed to values compatible with life"
_AUDIT = "audit of the PhysioNet 2012 records"
_DEFINED = "by definition"


def _row(
    name: str,
    description: str,
    unit: str,
    loinc: str,
    plausible_range: tuple[float, float],
    source: str,
    *,
    also: tuple[str, ...] = (),
    kind: Kind = Kind.LEVEL,
    log: float | None = None,
    step: float | None = None,
) -> Variable:
    return Variable(
        name=name,
        description=description,
        unit=unit,
        loinc=loinc,
        also_loinc=also,
        plausible_range=plausible_range,
        range_source=source,
        kind=kind,
        log_offset=log,
        resolution=step,
    )


# One line a variable, so that it reads as the table that it is.
# fmt: off
_VARIABLES = (
    _row("Albumin", "Albumin in serum", "g/dL", "1751-7", (0.6, 6.0), _MIMIC, step=0.1),
    _row("ALP", "Alkaline phosphatase", "U/L", "6768-6", (5.0, 3625.0), _WIDENED, log=0.0, step=1.0),
    _row("ALT", "Alanine aminotransferase", "U/L", "1742-6", (1.0, 25000.0), _WIDENED, log=0.0, step=1.0),
    _row("AST", "Aspartate aminotransferase", "U/L", "1920-8", (1.0, 25000.0), _WIDENED, log=0.0, step=1.0),
    _row("Bilirubin", "Bilirubin, total", "mg/dL", "1975-2", (0.1, 60.0), _MIMIC, log=0.0, step=0.1),
    _row("BUN", "Blood urea nitrogen", "mg/dL", "3094-0",
         (1.0, 250.0), _MIMIC, also=("6299-2",), log=0.0, step=1.0),
    _row("Cholesterol", "Cholesterol, total", "mg/dL", "2093-3", (20.0, 600.0), _WIDENED, step=1.0),
    _row("Creatinine", "Creatinine in serum", "mg/dL", "2160-0",
         (0.1, 30.0), _NARROWED, also=("38483-4",), log=0.0, step=0.1),
    _row("DiasABP", "Diastolic arterial pressure, invasive", "mm[Hg]", "8462-4",
         (10.0, 200.0), _AUDIT, step=1.0),
    _row("FiO2", "Fraction of inspired oxygen", "1", "3150-0", (0.21, 1.0), _MIMIC, step=0.01),
    _row("GCS", "Glasgow coma scale, total", "{score}", "9269-2",
         (3.0, 15.0), _MIMIC, kind=Kind.ORDINAL, step=1.0),
    _row("Glucose", "Glucose in serum or blood", "mg/dL", "2345-7",
         (10.0, 2000.0), _WIDENED, also=("2339-0",), log=0.0, step=1.0),
    _row("HCO3", "Bicarbonate in serum", "mmol/L", "1963-8",
         (2.0, 60.0), _NARROWED, also=("1959-6",), step=1.0),
    _row("HCT", "Hematocrit", "%", "4544-3", (5.0, 75.0), _NARROWED, also=("48703-3",), step=0.1),
    _row("HR", "Heart rate", "/min", "8867-4", (20.0, 250.0), _AUDIT, step=1.0),
    _row("K", "Potassium in serum", "mmol/L", "2823-3", (1.0, 12.0), _NARROWED, also=("6298-4",), step=0.1),
    _row("Lactate", "Lactate in blood", "mmol/L", "32693-4",
         (0.1, 40.0), _WIDENED, also=("2524-7",), log=0.0, step=0.1),
    _row("Mg", "Magnesium in serum", "mg/dL", "19123-9", (0.2, 12.0), _AUDIT, step=0.1),
    _row("MAP", "Mean arterial pressure, invasive", "mm[Hg]", "8478-0", (20.0, 200.0), _AUDIT, step=1.0),
    _row("MechVent", "Mechanical ventilation, charted only while on", "1", "20124-4",
         (0.0, 1.0), _DEFINED, kind=Kind.STATE),
    _row("Na", "Sodium in serum", "mmol/L", "2951-2", (90.0, 190.0), _NARROWED, also=("2947-0",), step=1.0),
    _row("NIDiasABP", "Diastolic arterial pressure, cuff", "mm[Hg]", "76535-4",
         (10.0, 200.0), _AUDIT, step=1.0),
    _row("NIMAP", "Mean arterial pressure, cuff", "mm[Hg]", "76536-2", (15.0, 220.0), _AUDIT),
    _row("NISysABP", "Systolic arterial pressure, cuff", "mm[Hg]", "76534-7",
         (30.0, 300.0), _AUDIT, step=1.0),
    _row("PaCO2", "Partial pressure of carbon dioxide, arterial", "mm[Hg]", "2019-8",
         (8.0, 200.0), _NARROWED, also=("11557-6",), step=1.0),
    _row("PaO2", "Partial pressure of oxygen, arterial", "mm[Hg]", "2703-7",
         (15.0, 700.0), _WIDENED, also=("11556-8",), log=0.0, step=1.0),
    _row("pH", "pH, arterial", "[pH]", "2744-1", (6.5, 8.0), _AUDIT, also=("11558-4",), step=0.01),
    _row("Platelets", "Platelets", "10*3/uL", "777-3", (1.0, 2000.0), _NARROWED, log=0.0, step=1.0),
    _row("RespRate", "Respiratory rate", "/min", "9279-1", (2.0, 80.0), _AUDIT, step=1.0),
    _row("SaO2", "Oxygen saturation, arterial", "%", "2708-6",
         (20.0, 100.0), _NARROWED, also=("20564-1", "59408-5"), step=1.0),
    _row("SysABP", "Systolic arterial pressure, invasive", "mm[Hg]", "8480-6",
         (30.0, 300.0), _AUDIT, step=1.0),
    _row("Temp", "Body temperature", "Cel", "8310-5", (26.0, 44.0), _AUDIT, step=0.1),
    _row("TroponinI", "Troponin I, cardiac", "ug/L", "10839-9", (0.01, 100.0), _WIDENED, log=0.0, step=0.1),
    _row("TroponinT", "Troponin T, cardiac", "ug/L", "6598-7", (0.005, 50.0), _WIDENED, log=0.0, step=0.01),
    _row("Urine", "Urine collected since the previous entry", "mL", "9187-6",
         (0.0, 5000.0), _AUDIT, kind=Kind.AMOUNT, log=20.0, step=1.0),
    _row("WBC", "White blood cells", "10*3/uL", "6690-2", (0.05, 500.0), _AUDIT, log=0.0, step=0.1),
    _row("Weight", "Body weight", "kg", "29463-7", (25.0, 300.0), _AUDIT, step=0.1),
)
# fmt: on

_STATICS = (
    Static(name="age_years", description="Age", unit="a", plausible_range=(0.0, 120.0)),
    Static(
        name="sex",
        description="Sex as recorded",
        unit="1",
        plausible_range=(0.0, 1.0),
        categories=("female", "male"),
    ),
    Static(name="height_cm", description="Body height", unit="cm", plausible_range=(100.0, 230.0)),
    Static(
        name="weight_kg",
        description="Body weight at admission",
        unit="kg",
        plausible_range=(25.0, 300.0),
    ),
    Static(
        name="icu_type",
        description="Kind of intensive care unit",
        unit="1",
        plausible_range=(0.0, 3.0),
        categories=("coronary", "cardiac_surgery", "medical", "surgical"),
    ),
)

CATALOGUE = Catalogue(_VARIABLES, _STATICS)
