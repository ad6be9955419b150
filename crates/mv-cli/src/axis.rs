//! One axis of numbers: where it begins and ends, and the round numbers written beside it.

/// Values beyond this are left out of drawings, like infinities: their differences overflow.
pub(crate) const LARGEST: f64 = 1e300;

/// An axis with its ticks, from the lowest up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    /// The number at its lower end.
    pub(crate) low: f64,
    /// The number at its upper end; always greater.
    pub(crate) high: f64,
    /// Round numbers on it, at most as many as asked for, with their texts.
    pub(crate) ticks: Vec<(f64, String)>,
}

/// A number that can be drawn.
pub(crate) fn drawable(number: f64) -> bool {
    number.abs() <= LARGEST
}

impl Axis {
    /// An axis around all drawable numbers, with about `ticks` ticks (two at least).
    pub(crate) fn around(numbers: impl Iterator<Item = f64>, ticks: usize) -> Axis {
        let (mut low, mut high) = numbers
            .filter(|n| drawable(*n))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), n| (l.min(n), h.max(n)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let size = low.abs().max(high.abs());
        // Numbers that are almost the same get room around them; so the steps are never lost in
        // rounding.
        if high - low <= size * 1e-9 || high - low < 1e-290 {
            let room = if size < 1e-280 { 1.0 } else { size * 0.1 };
            (low, high) = (low - room, high + room);
        }
        let step = nice_step((high - low) / ticks.max(2) as f64);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let count = (last - first).clamp(1.0, 1000.0) as usize;
        let decimals = usize::try_from((-step.log10().floor()) as i64).unwrap_or(0);
        let tick = |at: usize| {
            let number = (first + at as f64) * step;
            // Zero has no sign here.
            let number = if number == 0.0 { 0.0 } else { number };
            (number, text(number, decimals, size.max(step), step))
        };
        Axis { low: first * step, high: last * step, ticks: (0..=count).map(tick).collect() }
    }

    /// Where a number lies: 0 at the lower end, 1 at the upper.
    pub(crate) fn place(&self, number: f64) -> f64 {
        ((number - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn nice_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power);
    steps.into_iter().find(|step| *step >= least * 0.999_999).unwrap_or(10.0 * power)
}

fn text(number: f64, decimals: usize, size: f64, step: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    if size < 1e7 && decimals <= 6 {
        return format!("{number:.decimals$}");
    }
    let digits = (number.abs().log10().floor() - step.log10().floor()).clamp(0.0, 15.0) as usize;
    format!("{number:.digits$e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(numbers: &[f64], ticks: usize) -> Vec<String> {
        let axis = Axis::around(numbers.iter().copied(), ticks);
        axis.ticks.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_numbers_around_the_values() {
        assert_eq!(texts(&[0.81, 0.93], 4), ["0.80", "0.85", "0.90", "0.95"]);
        assert_eq!(texts(&[0.0, 10.0], 5), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(texts(&[-1.5, 1.5], 3), ["-2", "-1", "0", "1", "2"]);
        assert_eq!(texts(&[1e-7, 3e-7], 2), ["1e-7", "2e-7", "3e-7"]);
        assert_eq!(texts(&[], 2), ["0.0", "0.5", "1.0"].map(|t| if t == "0.0" { "0" } else { t }));
    }

    #[test]
    fn any_numbers_give_a_finite_axis_that_holds_them() {
        let odd = [
            vec![5.0],
            vec![0.0],
            vec![-0.0, 0.0],
            vec![f64::MIN_POSITIVE],
            vec![5e-324, -5e-324],
            vec![1e300, -1e300],
            vec![f64::MAX, f64::INFINITY, f64::NAN],
            vec![1e16, 1e16 + 2.0],
            vec![1.0, 1.0 + f64::EPSILON],
            vec![1e-300, 1e300],
            vec![i64::MAX as f64, i64::MIN as f64],
        ];
        for numbers in odd {
            for ticks in [0, 1, 2, 5, 40] {
                let axis = Axis::around(numbers.iter().copied(), ticks);
                assert!(axis.low < axis.high && axis.low.is_finite() && axis.high.is_finite());
                assert!((2..100).contains(&axis.ticks.len()), "{numbers:?} {axis:?}");
                for number in numbers.iter().filter(|n| drawable(**n)) {
                    assert!(axis.low <= *number && *number <= axis.high, "{numbers:?} {axis:?}");
                    assert!((0.0..=1.0).contains(&axis.place(*number)));
                }
            }
        }
    }
}
