"""De-identification: keys, pseudonyms, profiles, and the step from RawBatch to CleanBatch."""

from lakehouse.privacy.deidentify import Deidentifier
from lakehouse.privacy.identity.pseudonyms import new_uid, offset_days, pseudonym
from lakehouse.privacy.keys.secret import KEY_FILE, KeyedHash, Secret
from lakehouse.privacy.rules.policy import Policy, load_policy, policies

__all__ = [
    "KEY_FILE",
    "Deidentifier",
    "KeyedHash",
    "Policy",
    "Secret",
    "load_policy",
    "new_uid",
    "offset_days",
    "policies",
    "pseudonym",
]
