//! Dead letters for people: selected, previewed, put back in order, edited, discarded, exported.

mod desk;

mod selecting;

mod order;

mod operation;

mod change;

mod command;

mod engine;

mod members;

mod tutorial;
