//! Tokens.

use ferretcd_api_proto::etcdserverpb::AuthenticateRequest;
use http::HeaderValue;
use tonic::Code;

use crate::connection::Connection;
use crate::exchange::exchange;
use crate::{Config, Error, Rpc};

/// The connection with a token, if there is a user and the server has authentication enabled.
pub(crate) async fn log_in(connection: Connection, config: &Config) -> Result<Connection, Error> {
    let Some(credentials) = &config.credentials else { return Ok(connection) };
    let (user, password) = (credentials.user.clone(), credentials.password.clone());
    let request = AuthenticateRequest { name: user.clone(), password };
    match exchange(connection.clone(), request, config).await {
        Ok(response) => {
            let token = HeaderValue::try_from(response.token).map_err(|error| Error::Exchange {
                path: AuthenticateRequest::PATH,
                reason: error.to_string(),
            })?;
            Ok(connection.with_token(token))
        }
        Err(Error::Status { code, text }) if is_disabled(code, &text) => Ok(connection),
        Err(Error::Status { code, text }) => Err(Error::Authenticate { user, code, text }),
        Err(error) => Err(error),
    }
}

/// The server takes requests without a token.
fn is_disabled(code: i32, text: &str) -> bool {
    code == Code::FailedPrecondition as i32 && text.contains("not enabled")
}
