"""Why something of a record never becomes a row: the codes that its readers count.

Where the rows of all sources have the same reason, its code is that of `model.data.reasons`.
"""

from typing import Final

from model.data.reasons import Reason

MODIFIED_MEANING: Final = Reason.MODIFIED_MEANING.code
OTHER_FOCUS: Final = Reason.OTHER_FOCUS.code
UNKNOWN_VARIABLE: Final = Reason.UNKNOWN_VARIABLE.code
ISSUED_ONLY: Final = Reason.ISSUED_ONLY.code
MISSING_VALUE: Final = Reason.MISSING_VALUE.code
UNKNOWN_SENTINEL: Final = Reason.UNKNOWN_SENTINEL.code

STATUS_NOT_FINAL: Final = "status_not_final"
OTHER_RESOURCE: Final = "other_resource"
ENTRY_WITHOUT_RESOURCE: Final = "entry_without_resource"
WITHDRAWN_WITHOUT_ID: Final = "withdrawn_without_id"
SUBJECT_NOT_A_PATIENT: Final = "subject_not_a_patient"
SUBJECT_BY_IDENTIFIER: Final = "subject_by_identifier"
PERIOD_WITHOUT_END: Final = "period_without_end"
TIMING_NOT_USED: Final = "timing_not_used"
PANEL_WITHOUT_VALUE: Final = "panel_without_value"
VALUE_TYPE_NOT_USED: Final = "value_type_not_used"
INVALID_BIRTH_DATE: Final = "invalid_birth_date"
SEX_NOT_USED: Final = "sex_not_used"
PERSON_WITHOUT_STATICS: Final = "person_without_statics"
DRUG_EXPOSURE_NOT_USED: Final = "drug_exposure_not_used"
EVENT_WITHOUT_VALUE: Final = "event_without_value"
IDENTIFIER: Final = "identifier"
MALFORMED_ROW: Final = "malformed_row"
