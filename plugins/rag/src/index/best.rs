//! The best few of very many.

/// The best of what was offered, at most `count`.
pub(crate) struct Best<T> {
    count: usize,
    /// Up to twice as many as are wanted: sorting out the worse half now and then is cheaper than
    /// keeping an order all the time.
    kept: Vec<(f32, T)>,
    least: f32,
}

impl<T> Best<T> {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            count: count.max(1),
            kept: Vec::new(),
            least: f32::NEG_INFINITY,
        }
    }

    /// What is not better than this need not be offered.
    #[inline]
    pub(crate) const fn least(&self) -> f32 {
        self.least
    }

    pub(crate) fn offer(&mut self, score: f32, item: T) {
        self.kept.push((score, item));
        if self.kept.len() >= self.count * 2 {
            self.sort_out();
        }
    }

    /// The best, in no order.
    pub(crate) fn take(mut self) -> Vec<(f32, T)> {
        if self.kept.len() > self.count {
            self.sort_out();
        }
        self.kept
    }

    fn sort_out(&mut self) {
        self.kept
            .select_nth_unstable_by(self.count - 1, |a, b| b.0.total_cmp(&a.0));
        self.kept.truncate(self.count);
        self.least = self.kept[self.count - 1].0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_wherever_they_come() {
        for count in [1, 3, 50, 1000] {
            let mut best = Best::new(count);
            for number in 0..500_u16 {
                let score = f32::from(number * 37 % 500);
                if score > best.least() {
                    best.offer(score, score);
                }
            }
            let mut found: Vec<f32> = best.take().into_iter().map(|(_, item)| item).collect();
            found.sort_by(|a, b| b.total_cmp(a));
            let expected: Vec<f32> = (0..500_u16).rev().map(f32::from).take(count).collect();
            assert_eq!(found, expected);
        }
    }
}
