//! The machine of detection: asks the seeds until they answer, and everybody it then hears of once.
