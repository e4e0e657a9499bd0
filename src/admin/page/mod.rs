//! The page for people: its static files, which need no token.

use axum::Router;

/// The routes of the page; none of them reads or changes anything.
pub fn routes() -> Router {
    Router::new()
}
