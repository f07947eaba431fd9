//! The proleptic Gregorian calendar over any year that fits.

/// Days in 400 years.
const DAYS_PER_ERA: i64 = 146_097;

/// A date and a clock reading without a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) weekday: usize,
}

impl Civil {
    /// The reading `seconds` after midnight of 1970-01-01 of the same location.
    pub(super) fn from_local_seconds(seconds: i64) -> Self {
        let days = seconds.div_euclid(86_400);
        let second_of_day = seconds.rem_euclid(86_400);
        // Count in eras of 400 years that begin on March 1st, so that leap days come last.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(DAYS_PER_ERA);
        let day_of_era = shifted.rem_euclid(DAYS_PER_ERA);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
            weekday: (days + 4).rem_euclid(7) as usize,
        }
    }

    /// Day of the year, from 1.
    pub(super) fn year_day(&self) -> i64 {
        days_before(self.month) + self.day + i64::from(self.month > 2 && is_leap(self.year))
    }
}

/// Days from 1970-01-01 to the given date; months and days carry over.
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year.saturating_add((month - 1).div_euclid(12));
    let month = (month - 1).rem_euclid(12) + 1;
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era.saturating_mul(DAYS_PER_ERA).saturating_add(day_of_era - 719_468).saturating_add(day - 1)
}

pub(super) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a common year before `month`; `month` may be 13.
pub(super) fn days_before(month: i64) -> i64 {
    [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365][(month - 1) as usize]
}

pub(super) fn days_in(month: i64, year: i64) -> i64 {
    if month == 2 && is_leap(year) { 29 } else { days_before(month + 1) - days_before(month) }
}
