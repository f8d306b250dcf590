"""The catalogue that the project ships, as the table `catalogue.csv` beside this module.

First the 37 series of PhysioNet 2012 in their order, then what else wards and intensive care units
chart. Units are UCUM, codes are LOINC (see NOTICE). Where the challenge's own page disagrees with its
values the values win: magnesium is documented in mmol/L, but its median of 2.0 is only plausible in
mg/dL.

Pressures. LOINC 8480-6, 8462-4 and 8478-0 name a pressure by any method, which on a chart is nearly
always a cuff's: they belong to the cuff, beside 76534-7, 76535-4 and 76536-2. An arterial line has
76215-3, 76213-8 and 76214-6. Likewise 59408-5 is the saturation by pulse oximetry (SpO2), and 2708-6
that of an arterial sample (SaO2).

Sources of the codes
    The names of most codes were compared with the concept maps of the MIMIC code repository (MIT
    License; chart events, laboratory items, outputs and waveforms of MIMIC-IV) and with the OMOP
    dictionary of AmsterdamUMCdb (MIT License). The others (substance concentrations, high
    sensitivity troponins, glucose by glucometer, venous gases, GFR by CKD-EPI, interleukin 6,
    Braden, SOFA) stand with the same meaning in several public code lists.

Sources of the plausible ranges
    MIMIC-Extract (Wang et al. 2020, CHIL), VALID LOW to VALID HIGH of its variable_ranges.csv: as
    it is, widened where the 8,000 challenge records hold believable values beyond it, or narrowed
    where it admits values that no living patient has; and an audit of the challenge records (zero
    pressures, pH 735, temperatures of -17.8), whose limits stand in the data set's notes. Where
    MIMIC-Extract says nothing, the limits are those of the device, or wide ones set for this table.
    FiO2 begins at 0.2, so that room air (20.9 %) is inside. Ranges by age are for what grows: a
    newborn of 1.2 kg is not implausible.

Sources of the typical quartiles
    The challenge records; for the others the MIMIC-IV demo where it holds at least 50 values, else
    usual values of intensive care patients, rounded.

The recorded steps are those of the challenge records: the coarsest decimal step that more than
99 % of a variable's plausible values are multiples of. The mean pressure of the cuff has none (thirds
and whole numbers mixed). FiO2 is charted in steps of 0.05 at that hospital; 0.01, in which it can be
set, is kept for others.
"""

from functools import cache
from importlib.resources import as_file, files

from model.data.catalogue_table import read_catalogue
from model.data.variables import Catalogue


@cache
def shipped_catalogue() -> Catalogue:
    """Return the shipped catalogue: a default for whoever has no table of their own.

    Examples
    --------
    >>> catalogue = shipped_catalogue()
    >>> catalogue[catalogue.channel("heart rate")].unit
    '/min'
    """
    with as_file(files("model.data") / "catalogue.csv") as path:
        return read_catalogue(path)
