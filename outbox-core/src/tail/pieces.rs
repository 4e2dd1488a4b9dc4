//! Pure: which pieces of a partitioned table to make, split or drop.
//!
//! Producers must never meet a missing piece: the last one is open to the end, and nothing within [`RESERVE`] positions
//! of the head is ever touched. Pieces ahead grow geometrically so that a dozen covers years; as the log grows into the
//! wide ones, those still far ahead and empty are split again, so that retention can give space back in small steps.

/// Positions ahead of the head that are never touched: at 25,000 appends a second the reserve lasts ten minutes, far longer
/// than a maintenance step that is refused when it cannot begin at once.
pub const RESERVE: i64 = 16_000_000;

/// How many pieces ahead of the reserve should be narrow.
const NARROW_AHEAD: i64 = 4;

/// One piece, lower bound inclusive, upper exclusive; none means open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Name of its table.
    pub name: String,
    /// From here on.
    pub lower: Option<i64>,
    /// Up to here.
    pub upper: Option<i64>,
    /// A detach was begun and not finished.
    pub detach_pending: bool,
}

/// One step of maintenance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Finish a detach that was interrupted.
    FinishDetach(Piece),
    /// Take this empty piece away, far ahead, to be replaced by narrower ones.
    TakeAway(Piece),
    /// Make a piece for a range that has none.
    Make {
        /// From here on.
        lower: i64,
        /// Up to here; none: open.
        upper: Option<i64>,
    },
}

/// What to do with a table whose next value is `head`, whose pieces should be about `width` wide.
/// `pieces` in order of their bounds. Steps are in order; after a `TakeAway` plan again.
#[must_use]
pub fn plan(pieces: &[Piece], head: i64, width: i64) -> Vec<Step> {
    if let Some(pending) = pieces.iter().find(|piece| piece.detach_pending) {
        return vec![Step::FinishDetach(pending.clone())];
    }
    let gaps = gaps(pieces, head, width);
    if !gaps.is_empty() {
        return gaps;
    }
    let far = head.saturating_add(RESERVE);
    let horizon = far.saturating_add(width.saturating_mul(NARROW_AHEAD));
    pieces
        .iter()
        .find(|piece| {
            let Some(lower) = piece.lower else { return false };
            let is_wide = piece.upper.is_none_or(|upper| upper - lower > 2 * width);
            lower > far && lower < horizon && is_wide
        })
        .map(|piece| Step::TakeAway(piece.clone()))
        .into_iter()
        .collect()
}

/// Pieces for every range between two pieces, and after the last one, that has none.
fn gaps(pieces: &[Piece], head: i64, width: i64) -> Vec<Step> {
    let mut steps = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let Some(upper) = piece.upper else { continue };
        match pieces.get(at + 1) {
            Some(next) if next.lower == Some(upper) => {}
            Some(next) => steps.extend(fill(upper, next.lower, width)),
            None => steps.extend(fill(upper, None, width)),
        }
    }
    if pieces.is_empty() {
        steps.extend(fill(head, None, width));
    }
    steps
}

/// Covers a range with pieces that double in width.
fn fill(lower: i64, upper: Option<i64>, width: i64) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut from, mut step) = (lower, width);
    for _ in 0..8 {
        let to = from.saturating_add(step);
        if upper.is_some_and(|upper| to >= upper) {
            break;
        }
        steps.push(Step::Make {
            lower: from,
            upper: Some(to),
        });
        from = to;
        step = step.saturating_mul(2);
    }
    steps.push(Step::Make { lower: from, upper });
    steps
}

/// The first pieces that may go: wholly below `passed`, never the last one.
#[must_use]
pub fn droppable(pieces: &[Piece], passed: i64) -> Vec<Piece> {
    pieces
        .iter()
        .take(pieces.len().saturating_sub(1))
        .take_while(|piece| piece.upper.is_some_and(|upper| upper <= passed))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(lower: Option<i64>, upper: Option<i64>) -> Piece {
        Piece {
            name: format!("p{}", lower.unwrap_or(0)),
            lower,
            upper,
            detach_pending: false,
        }
    }

    #[test]
    fn leaves_what_is_near_alone() {
        let pieces = [
            piece(None, Some(1_000)),
            piece(Some(1_000), Some(5_000_000)),
            piece(Some(5_000_000), None),
        ];
        assert_eq!(
            plan(&pieces, 10, 1_000),
            vec![],
            "the open piece begins within the reserve"
        );
    }

    #[test]
    fn splits_a_wide_empty_piece_far_ahead() {
        let wide = piece(Some(20_000_000), None);
        let pieces = [piece(None, Some(20_000_000)), wide.clone()];
        assert_eq!(plan(&pieces, 10_000, 2_000_000), vec![Step::TakeAway(wide)]);
    }

    #[test]
    fn fills_what_a_taken_away_piece_left_and_ends_open() {
        let pieces = [piece(None, Some(100)), piece(Some(1_000), Some(2_000))];
        let steps = plan(&pieces, 0, 200);
        assert_eq!(
            steps[0],
            Step::Make {
                lower: 100,
                upper: Some(300)
            }
        );
        assert_eq!(
            steps[1],
            Step::Make {
                lower: 300,
                upper: Some(700)
            }
        );
        assert_eq!(
            steps[2],
            Step::Make {
                lower: 700,
                upper: Some(1_000)
            }
        );
        assert_eq!(
            steps[3],
            Step::Make {
                lower: 2_000,
                upper: Some(2_200)
            }
        );
        assert!(matches!(steps.last(), Some(Step::Make { upper: None, .. })));
    }

    #[test]
    fn an_interrupted_detach_comes_first() {
        let mut pending = piece(Some(100), Some(200));
        pending.detach_pending = true;
        assert_eq!(
            plan(&[piece(None, Some(100)), pending.clone()], 0, 10),
            vec![Step::FinishDetach(pending)]
        );
    }

    #[test]
    fn only_whole_pieces_below_the_mark_go_and_never_the_last() {
        let pieces = [
            piece(None, Some(100)),
            piece(Some(100), Some(200)),
            piece(Some(200), None),
        ];
        assert_eq!(droppable(&pieces, 150), vec![pieces[0].clone()]);
        assert_eq!(droppable(&pieces, i64::MAX).len(), 2);
    }
}
