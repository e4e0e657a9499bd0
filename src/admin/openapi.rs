//! The API's own description: the routes that are served, their schemas, and the problems each may answer with.

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, InfoBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

use super::problem::PROBLEM;

/// Statuses of problems that any route may answer with.
const ANY: [(&str, &str); 7] = [
    ("400", "what was sent is not what is wanted"),
    ("403", "a page of another origin, or a role that is not enough"),
    ("404", "there is no such thing, or not for whoever asks"),
    ("405", "not with this method"),
    ("421", "`Host` is no name of this listener"),
    ("429", "too often: wrong tokens, codes or streams"),
    ("503", "the journal or the store cannot be written, and nothing was done"),
];

/// Those of routes that take a body.
const WITH_A_BODY: [(&str, &str); 3] =
    [("408", "the body took too long"), ("409", "too late, or not as it was shown"), ("413", "the body is too large")];

/// OpenAPI 3.1 of every route.
pub fn document() -> OpenApi {
    complete(super::routes::described().1)
}

fn complete(mut api: OpenApi) -> OpenApi {
    api.info = InfoBuilder::new()
        .title("exeat")
        .version("1")
        .description(Some("The admin API of exeat: for people and their programs, never for agents."))
        .build();
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An approver's token")).build());
    let mut components = api.components.take().unwrap_or_default();
    components.add_security_scheme("token", bearer);
    api.components = Some(components);
    for (path, item) in &mut api.paths.paths {
        let open = path.ends_with("/login") || path.ends_with("/openapi.json");
        for operation in operations(item) {
            if !open {
                operation.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
            }
            refusals(operation);
        }
    }
    api
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.delete].into_iter().filter_map(Option::as_mut)
}

fn refusals(operation: &mut Operation) {
    let body = operation.request_body.is_some();
    let unauthorized = [("401", "no valid token or code")];
    for (status, text) in ANY.iter().chain(&unauthorized).chain(WITH_A_BODY.iter().filter(|(status, _)| body || *status == "409")) {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new().description(*text).content(PROBLEM, problem).build();
        operation.responses.responses.entry((*status).to_owned()).or_insert(RefOr::T(response));
    }
}
