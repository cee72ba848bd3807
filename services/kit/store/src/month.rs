//! Months, the size of a partition.

/// Telegram went public in August 2013; no message is older.
pub(crate) const FIRST: Month = Month { year: 2013, month: 8 };

const DAY_MS: i64 = 86_400_000;

/// A month of the UTC calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Month {
    year: i64,
    /// 1 to 12.
    month: u32,
}

impl Month {
    /// The month of a time in milliseconds since the epoch, within years -999,999 to 999,999.
    pub(crate) fn of_ms(ms: i64) -> Self {
        // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
        let days = ms.div_euclid(DAY_MS) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self {
            year,
            month: month as u32,
        }
    }

    /// `2026_11`, the end of a partition's name.
    pub(crate) fn suffix(self) -> String {
        format!("{:04}_{:02}", self.year, self.month)
    }

    /// `2026-11-01`.
    pub(crate) fn first_day(self) -> String {
        format!("{:04}-{:02}-01", self.year, self.month)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> String {
        Month::of_ms(ms).suffix()
    }

    #[test]
    fn months_of_times() {
        assert_eq!(at(0), "1970_01");
        assert_eq!(at(-1), "1969_12");
        assert_eq!(at(1_375_315_200_000), "2013_08");
        assert_eq!(at(1_375_315_199_999), "2013_07");
        // 2024-02-29T23:59:59.999Z and the next millisecond.
        assert_eq!(at(1_709_251_199_999), "2024_02");
        assert_eq!(at(1_709_251_200_000), "2024_03");
        // 2026-12-31T23:59:59.999Z and the next millisecond.
        assert_eq!(at(1_798_761_599_999), "2026_12");
        assert_eq!(at(1_798_761_600_000), "2027_01");
    }

    #[test]
    fn first_days() {
        assert_eq!(Month::of_ms(1_798_761_599_999).first_day(), "2026-12-01");
    }
}
