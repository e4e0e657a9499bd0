//! What every store has to do. `tests!` runs all of it over a store that a function makes.
