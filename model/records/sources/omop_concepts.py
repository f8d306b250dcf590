"""OMOP concept ids of usual measurements and of their units, for data that come without `concept`.

The ids are those that MIT-LCP/mimic-code, OHDSI/MIMIC and HealthInformaticsUT/EstonianOMOPMappings
publish for LOINC codes. SNOMED concepts of vital signs are written as the LOINC code of the same
quantity: the arm's pressure as any pressure, the arterial line's as that of the line.
"""

from types import MappingProxyType
from typing import Final

LOINC_OF_CONCEPT: Final = MappingProxyType(
    {
        3006923: "1742-6",  # Alanine aminotransferase [activity] in Serum or Plasma
        3024561: "1751-7",  # Albumin [mass] in Serum or Plasma
        3035995: "6768-6",  # Alkaline phosphatase [activity] in Serum or Plasma
        3016771: "1798-8",  # Amylase [activity] in Serum or Plasma
        3037278: "1863-0",  # Anion gap 4 in Serum or Plasma
        3013466: "3173-2",  # aPTT in Blood by Coagulation assay
        3018677: "14979-9",  # aPTT in Platelet poor plasma by Coagulation assay
        3013721: "1920-8",  # Aspartate aminotransferase [activity] in Serum or Plasma
        3004809: "26508-2",  # Band form neutrophils/100 leukocytes in Blood
        3003396: "1925-7",  # Base excess in Arterial blood by calculation
        3012501: "11555-0",  # Base excess in Blood by calculation
        3013429: "704-7",  # Basophils [#/volume] in Blood by Automated count
        3013869: "706-2",  # Basophils/100 leukocytes in Blood by Automated count
        3008152: "1960-4",  # Bicarbonate [moles] in Arterial blood
        3006576: "1959-6",  # Bicarbonate [moles] in Blood
        3016293: "1963-8",  # Bicarbonate [moles] in Serum or Plasma
        3027597: "1968-7",  # Bilirubin.direct [mass] in Serum or Plasma
        3028638: "14629-0",  # Bilirubin.direct [moles] in Serum or Plasma
        3024128: "1975-2",  # Bilirubin.total [mass] in Serum or Plasma
        3006140: "14631-6",  # Bilirubin.total [moles] in Serum or Plasma
        21490586: "60834-9",  # Blood temperature
        3036277: "8302-2",  # Body height
        3020891: "8310-5",  # Body temperature
        3025926: "8329-5",  # Body temperature - Core
        3025315: "29463-7",  # Body weight
        3007469: "19834-1",  # Breath rate setting Ventilator
        1175625: "76528-9",  # Breath rate spontaneous
        3020460: "1988-5",  # C reactive protein [mass] in Serum or Plasma
        3032503: "49765-1",  # Calcium [mass] in Blood
        3006906: "17861-6",  # Calcium [mass] in Serum or Plasma
        3015377: "2000-8",  # Calcium [moles] in Serum or Plasma
        3021119: "1994-3",  # Calcium.ionized [moles] in Blood
        3027946: "2019-8",  # Carbon dioxide [Partial pressure] in Arterial blood
        3013290: "11557-6",  # Carbon dioxide [Partial pressure] in Blood
        3035357: "19891-1",  # Carbon dioxide [Partial pressure] in Exhaled gas --at end expiration
        3014094: "20565-8",  # Carbon dioxide, total [moles] in Blood
        3015632: "2028-9",  # Carbon dioxide, total [moles] in Serum or Plasma
        21490675: "60985-9",  # Central venous pressure (CVP)
        3000333: "8591-0",  # Central venous pressure (CVP) Mean
        21490695: "61017-0",  # Cerebral perfusion pressure
        3018572: "2069-3",  # Chloride [moles] in Blood
        3014576: "2075-0",  # Chloride [moles] in Serum or Plasma
        3027114: "2093-3",  # Cholesterol [mass] in Serum or Plasma
        3007070: "2085-9",  # Cholesterol in HDL [mass] in Serum or Plasma
        3028437: "2089-1",  # Cholesterol in LDL [mass] in Serum or Plasma
        3028288: "13457-7",  # Cholesterol in LDL [mass] in Serum or Plasma by calculation
        3009682: "2143-6",  # Cortisol [mass] in Serum or Plasma
        3007220: "2157-6",  # Creatine kinase [activity] in Serum or Plasma
        3005785: "13969-1",  # Creatine kinase.MB [mass] in Serum or Plasma
        3051825: "38483-4",  # Creatinine [mass] in Blood
        3016723: "2160-0",  # Creatinine [mass] in Serum or Plasma
        40762887: "59826-8",  # Creatinine [moles] in Blood
        3020564: "14682-9",  # Creatinine [moles] in Serum or Plasma
        3012888: "8462-4",  # Diastolic blood pressure
        21492240: "76535-4",  # Diastolic blood pressure by Noninvasive
        3028615: "711-2",  # Eosinophils [#/volume] in Blood by Automated count
        3010457: "713-8",  # Eosinophils/100 leukocytes in Blood by Automated count
        3019897: "788-0",  # Erythrocyte distribution width [Ratio] by Automated count
        3013707: "4537-7",  # Erythrocyte sedimentation rate by Westergren method
        3020416: "789-8",  # Erythrocytes [#/volume] in Blood by Automated count
        3001122: "2276-4",  # Ferritin [mass] in Serum or Plasma
        3048530: "48066-5",  # Fibrin D-dimer DDU [mass] in Platelet poor plasma
        3051714: "48065-7",  # Fibrin D-dimer FEU [mass] in Platelet poor plasma
        3016407: "3255-7",  # Fibrinogen [mass] in Platelet poor plasma by Coagulation assay
        3026556: "9129-8",  # Fluid output chest tube
        3023454: "9149-6",  # Fluid output gastric tube
        3017152: "9179-3",  # Fluid output peritoneal drain
        3026910: "2324-2",  # Gamma glutamyl transferase [activity] in Serum or Plasma
        3016335: "9267-6",  # Glasgow coma score eye opening
        3008223: "9268-4",  # Glasgow coma score motor
        3009094: "9270-0",  # Glasgow coma score verbal
        3021886: "2336-6",  # Globulin [mass] in Serum
        3000483: "2339-0",  # Glucose [mass] in Blood
        3004501: "2345-7",  # Glucose [mass] in Serum or Plasma
        3013826: "14749-6",  # Glucose [moles] in Serum or Plasma
        3027018: "8867-4",  # Heart rate
        3009542: "20570-8",  # Hematocrit [Volume Fraction] of Blood
        3023314: "4544-3",  # Hematocrit [Volume Fraction] of Blood by Automated count
        3050746: "48703-3",  # Hematocrit [Volume Fraction] of Blood by Estimated
        3000963: "718-7",  # Hemoglobin [mass] in Blood
        3004410: "4548-4",  # Hemoglobin A1c/Hemoglobin.total in Blood
        3020716: "3150-0",  # Inhaled oxygen concentration
        3032080: "34714-6",  # INR in Blood by Coagulation assay
        3022217: "6301-6",  # INR in Platelet poor plasma by Coagulation assay
        21490516: "60740-8",  # Inspiration [Time] Respiratory system
        3023091: "26881-3",  # Interleukin 6 [mass] in Serum or Plasma
        21490653: "60956-0",  # Intracranial pressure (ICP)
        21490851: "76213-8",  # Invasive Diastolic blood pressure
        21490852: "76214-6",  # Invasive Mean blood pressure
        21490853: "76215-3",  # Invasive Systolic blood pressure
        3018405: "2518-9",  # Lactate [moles] in Arterial blood
        3047181: "32693-4",  # Lactate [moles] in Blood
        3014111: "2524-7",  # Lactate [moles] in Serum or Plasma
        3008037: "2519-7",  # Lactate [moles] in Venous blood
        3016436: "2532-0",  # Lactate dehydrogenase [activity] in Serum or Plasma
        3022250: "14804-9",  # Lactate dehydrogenase [activity] in Serum or Plasma by Lactate to pyr…
        21490712: "75919-1",  # Left ventricular Cardiac index
        3005555: "8741-1",  # Left ventricular Cardiac output
        3000905: "6690-2",  # Leukocytes [#/volume] in Blood by Automated count
        3004905: "3040-3",  # Lipase [activity] in Serum or Plasma
        3004327: "731-0",  # Lymphocytes [#/volume] in Blood by Automated count
        3037511: "736-9",  # Lymphocytes/100 leukocytes in Blood by Automated count
        3001420: "19123-9",  # Magnesium [mass] in Serum or Plasma
        3012095: "2601-3",  # Magnesium [moles] in Serum or Plasma
        3012030: "785-6",  # MCH [Entitic mass] by Automated count
        3009744: "786-4",  # MCHC [mass] by Automated count
        3023599: "787-2",  # MCV [Entitic volume] by Automated count
        42527086: "60949-5",  # Mean airway pressure
        3027598: "8478-0",  # Mean blood pressure
        21492241: "76536-2",  # Mean blood pressure by Noninvasive
        3033575: "742-7",  # Monocytes [#/volume] in Blood by Automated count
        3011948: "5905-5",  # Monocytes/100 leukocytes in Blood by Automated count
        3011960: "30934-4",  # Natriuretic peptide B [mass] in Serum or Plasma
        3029187: "33762-6",  # Natriuretic peptide.B prohormone N-Terminal [mass] in Serum or Plasma
        3017732: "26499-4",  # Neutrophils [#/volume] in Blood
        3013650: "751-8",  # Neutrophils [#/volume] in Blood by Automated count
        3008342: "770-8",  # Neutrophils/100 leukocytes in Blood by Automated count
        3008295: "2692-2",  # Osmolality of Serum or Plasma
        3011087: "9217-1",  # Output.stool [Volume]
        3022803: "19255-9",  # Oxygen [Partial pressure] adjusted to patient's actual temperature in…
        3027801: "2703-7",  # Oxygen [Partial pressure] in Arterial blood
        3027315: "11556-8",  # Oxygen [Partial pressure] in Blood
        3014080: "19941-4",  # Oxygen gas flow Oxygen delivery system
        3016502: "2708-6",  # Oxygen saturation in Arterial blood
        40762499: "59408-5",  # Oxygen saturation in Arterial blood by Pulse oximetry
        3013502: "20564-1",  # Oxygen saturation in Blood
        3018465: "19224-5",  # Oxygen saturation in Mixed venous blood
        3024882: "19994-3",  # Oxygen/Total gas setting [Volume Fraction] Ventilator
        43055141: "72514-3",  # Pain severity - 0-10 verbal numeric rating [Score] - Reported
        3019977: "2744-1",  # pH of Arterial blood
        3010421: "11558-4",  # pH of Blood
        3011904: "2777-1",  # Phosphate [mass] in Serum or Plasma
        3024929: "777-3",  # Platelets [#/volume] in Blood by Automated count
        3022875: "20077-4",  # Positive end expiratory pressure setting Ventilator
        3005456: "6298-4",  # Potassium [moles] in Blood
        3023103: "2823-3",  # Potassium [moles] in Serum or Plasma
        21490650: "60951-1",  # Pressure max Respiratory system airway --during inspiration
        3000461: "20079-0",  # Pressure support setting Ventilator
        36303946: "76259-1",  # Pressure.plateau Respiratory system airway --on ventilator
        3046279: "33959-8",  # Procalcitonin [mass] in Serum or Plasma
        3020630: "2885-2",  # Protein [mass] in Serum or Plasma
        3034426: "5902-2",  # Prothrombin time (PT)
        3017188: "8385-7",  # Pulmonary artery Diastolic blood pressure
        3028074: "8414-5",  # Pulmonary artery Mean blood pressure
        3005606: "8440-0",  # Pulmonary artery Systolic blood pressure
        21490776: "75994-4",  # Pulmonary artery wedge pressure
        3022060: "8332-9",  # Rectal temperature
        3024171: "9279-1",  # Respiratory rate
        3000285: "2947-0",  # Sodium [moles] in Blood
        3019550: "2951-2",  # Sodium [moles] in Serum or Plasma
        3004249: "8480-6",  # Systolic blood pressure
        21492239: "76534-7",  # Systolic blood pressure by Noninvasive
        3009201: "3016-3",  # Thyrotropin [Units/volume] in Serum or Plasma
        3008598: "3024-7",  # Thyroxine (T4) free [mass] in Serum or Plasma
        3012410: "20112-9",  # Tidal volume setting Ventilator
        21490854: "76222-9",  # Tidal volume Ventilator --on ventilator
        3017594: "20116-0",  # Tidal volume.spontaneous --on ventilator
        42527140: "76247-6",  # Total PEEP Respiratory system
        3022192: "2571-8",  # Triglyceride [mass] in Serum or Plasma
        3033745: "42757-5",  # Troponin I.cardiac [mass] in Blood
        3021337: "10839-9",  # Troponin I.cardiac [mass] in Serum or Plasma
        3032971: "49563-0",  # Troponin I.cardiac [mass] in Serum or Plasma by Detection limit <= 0.…
        3019800: "6598-7",  # Troponin T.cardiac [mass] in Serum or Plasma
        40769783: "67151-1",  # Troponin T.cardiac [mass] in Serum or Plasma by High sensitivity met…
        3037556: "3084-1",  # Urate [mass] in Serum or Plasma
        3026493: "14933-6",  # Urate [moles] in Serum or Plasma
        3020779: "22664-7",  # Urea [moles] in Serum or Plasma
        3004295: "6299-2",  # Urea nitrogen [mass] in Blood
        3013682: "3094-0",  # Urea nitrogen [mass] in Serum or Plasma
        3014315: "9187-6",  # Urine output
        3004921: "20124-4",  # Ventilation mode Ventilator
        21490753: "75959-7",  # Volume expired per minute Respiratory system
        3012565: "3167-4",  # Volume of 24 hour Urine
        4301868: "8867-4",  # Pulse rate (SNOMED)
        4224504: "8867-4",  # Pulse (SNOMED)
        4313591: "9279-1",  # Respiratory rate (SNOMED)
        4302666: "8310-5",  # Body temperature (SNOMED)
        4152194: "8480-6",  # Systolic blood pressure (SNOMED)
        4154790: "8462-4",  # Diastolic blood pressure (SNOMED)
        4353843: "76215-3",  # Invasive systolic pressure (SNOMED)
        4354253: "76213-8",  # Invasive diastolic pressure (SNOMED)
        4099154: "29463-7",  # Body weight (SNOMED)
    }
)
"""LOINC code by concept id."""

UNIT_OF_CONCEPT: Final = MappingProxyType(
    {
        8541: "/min",
        8483: "/min",
        4118124: "/min",
        8876: "mm[Hg]",
        4118323: "mm[Hg]",
        44777590: "cm[H2O]",
        8554: "%",
        586323: "Cel",
        9289: "[degF]",
        8582: "cm",
        9327: "[in_i]",
        9529: "kg",
        8587: "mL",
        8713: "g/dL",
        8840: "mg/dL",
        8837: "ug/dL",
        8817: "ng/dL",
        8842: "ng/mL",
        8859: "ug/mL",
        8845: "pg/mL",
        8751: "mg/L",
        8748: "ug/L",
        8753: "mmol/L",
        8749: "umol/L",
        8736: "nmol/L",
        9557: "meq/L",
        8645: "U/L",
        8923: "[IU]/L",
        8763: "U/mL",
        9093: "u[IU]/mL",
        8860: "uU/mL",
        9550: "m[IU]/mL",
        9040: "m[IU]/L",
        8848: "10*3/uL",
        8815: "10*6/uL",
        8785: "/mm3",
        8583: "fL",
        8564: "pg",
        8862: "mosm/kg",
        8752: "mm/h",
        8555: "s",
        8550: "min",
        8505: "h",
        8512: "d",
        8698: "L/min",
        32710: "L/min/m2",
        8795: "mL/min",
        44777613: "mL/h",
        8523: "{ratio}",
        44777566: "{score}",
    }
)
"""UCUM unit by concept id."""

COMPARATOR_OF_CONCEPT: Final = MappingProxyType(
    {
        4171756: "<",
        4171754: "<=",
        4172703: "=",
        4171755: ">=",
        4172704: ">",
    }
)
"""Concepts of `operator_concept_id`."""

SEX_OF_CONCEPT: Final = MappingProxyType({8507: "male", 8532: "female"})
"""Concepts of `gender_concept_id`."""
