//! Redis loses data: noticed, put out again without a person, applied once and in order; what nobody has any more is said (G8).

mod scene;

mod harm;

mod under_load;

mod nothing_left;

mod gone_for_good;

mod groups;

mod newcomers;

mod by_hand;
