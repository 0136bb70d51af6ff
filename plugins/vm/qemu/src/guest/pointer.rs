//! The pointer in pictures: whether the guest draws it, and drawing it when it does not.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Picture, tablet};
use crate::{Result, process::Process};

/// What a guest that draws its pointer may take for it.
const DRAWN: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(50);

/// How far round its place a pointer is looked for.
const NEAR: u32 = 24;

/// An arrow: `#` black, `.` white.
const ARROW: [&str; 19] = [
    "#",
    "##",
    "#.#",
    "#..#",
    "#...#",
    "#....#",
    "#.....#",
    "#......#",
    "#.......#",
    "#........#",
    "#.........#",
    "#......####",
    "#...#..#",
    "#..##..#",
    "#.#  #..#",
    "##   #..#",
    "#     #..#",
    "      #..#",
    "       ##",
];

/// Draws an arrow whose tip is there.
pub(super) fn draw(picture: &mut Picture, (x, y): (u16, u16)) {
    for (row, line) in (u32::from(y)..).zip(ARROW) {
        for (column, dot) in (u32::from(x)..).zip(line.chars()) {
            let colour = match dot {
                '#' => [0, 0, 0, 255],
                '.' => [255, 255, 255, 255],
                _ => continue,
            };
            if let Some(pixel) = picture.pixel(column, row) {
                pixel.copy_from_slice(&colour);
            }
        }
    }
}

/// Finds out whether the guest draws its pointer, by moving it: to one place and then to another, and both must change.
/// Leaves it in the middle of the screen, which is the second result.
pub(crate) async fn find_out(process: &Process) -> Result<(bool, (u16, u16))> {
    let (width, height) = Picture::take(process).await?.size();
    let middle = (width / 2, height / 2);
    if !tablet::listens(process).await? {
        return Ok((false, middle));
    }
    let size = (width, height);
    tablet::give(process, &tablet::place((width / 3, height / 3), size)).await?;
    // Whatever comes of having been moved there must be over.
    sleep(LOOK * 4).await;
    let before = Picture::take(process).await?;
    tablet::give(process, &tablet::place(middle, size)).await?;
    let end = Instant::now() + DRAWN;
    while Instant::now() < end {
        let after = Picture::take(process).await?;
        let places = [(width / 3, height / 3), middle];
        if places
            .iter()
            .all(|place| differ_near(&before, &after, *place))
        {
            return Ok((true, middle));
        }
        sleep(LOOK).await;
    }
    Ok((false, middle))
}

fn differ_near(one: &Picture, other: &Picture, (x, y): (u16, u16)) -> bool {
    if one.size() != other.size() {
        return false;
    }
    let (x, y) = (u32::from(x), u32::from(y));
    let rows = y.saturating_sub(NEAR)..(y + NEAR).min(one.height);
    let (from, to) = (x.saturating_sub(NEAR), (x + NEAR).min(one.width));
    rows.into_iter().any(|row| {
        let at = |column: u32| (row as usize * one.width as usize + column as usize) * 4;
        one.rgba[at(from)..at(to)] != other.rgba[at(from)..at(to)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey() -> Picture {
        Picture {
            width: 60,
            height: 40,
            rgba: vec![128; 60 * 40 * 4],
        }
    }

    #[test]
    fn the_tip_is_where_the_pointer_is_and_nothing_is_drawn_outside() {
        let mut picture = grey();
        draw(&mut picture, (10, 20));
        assert_eq!(picture.pixel(10, 20).unwrap(), [0, 0, 0, 255]);
        assert_eq!(picture.pixel(9, 20).unwrap(), [128; 4]);
        assert_eq!(picture.pixel(10, 19).unwrap(), [128; 4]);
        let mut picture = grey();
        draw(&mut picture, (59, 39));
        assert_eq!(picture.difference(&grey()), 1);
    }

    #[test]
    fn a_pointer_that_moved_shows_at_both_places() {
        let (mut before, mut after) = (grey(), grey());
        draw(&mut before, (5, 5));
        draw(&mut after, (40, 20));
        assert!(differ_near(&before, &after, (5, 5)));
        assert!(differ_near(&before, &after, (40, 20)));
        assert!(!differ_near(&before, &before.clone(), (5, 5)));
    }
}
