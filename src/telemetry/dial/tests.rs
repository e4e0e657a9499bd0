#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const SOON: Duration = Duration::from_secs(20);

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A server with a certificate for `name`, which says `hello` and ends.
    async fn serves(&self, name: &str, alpn: &[&str]) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = config.with_single_cert(vec![leaf.der().clone()], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await {
                let _ = stream.write_all(b"hello").await;
                let _ = stream.shutdown().await;
            }
        });
        address
    }
}

async fn heard(dialer: &Dialer, to: &BackEnd, speaks: Speaks) -> Result<String, Undialled> {
    let mut stream = dialer.connect(to, speaks, SOON).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    Ok(text)
}

#[tokio::test]
async fn a_certificate_counts_for_its_name_and_an_authority_that_is_trusted() {
    let authority = Authority::new();
    let table = [
        ("localhost", &["http/1.1"][..], Speaks::Http1, true, "Ok"),
        ("localhost", &[], Speaks::Http1, true, "Ok"),
        ("localhost", &["h2"], Speaks::Http2, true, "Ok"),
        ("127.0.0.1", &["h2"], Speaks::Http2, true, "Tls"),
        ("localhost", &[], Speaks::Http2, true, "Protocol"),
        ("localhost", &["h2"], Speaks::Http1, true, "Tls"),
        ("other.example", &["h2"], Speaks::Http2, true, "Tls"),
        ("localhost", &["h2"], Speaks::Http2, false, "Tls"),
    ];
    for (name, alpn, speaks, trusted, wanted) in table {
        let port = authority.serves(name, alpn).await.port();
        let to = BackEnd::parse(&format!("https://localhost:{port}")).unwrap();
        let other = Authority::new();
        let file = if trusted { authority.file() } else { other.file() };
        let dialer = Dialer::new(&to, Some(&file)).unwrap();
        let got = match heard(&dialer, &to, speaks).await {
            Ok(text) => {
                assert_eq!(text, "hello");
                "Ok"
            }
            Err(Undialled::Tls(_)) => "Tls",
            Err(Undialled::Protocol) => "Protocol",
            Err(error) => panic!("{error}"),
        };
        assert_eq!(got, wanted, "a certificate for {name}, {alpn:?}, {speaks:?}, trusted: {trusted}");
    }
}

#[tokio::test]
async fn a_certificate_may_be_for_an_address() {
    let authority = Authority::new();
    let address = authority.serves("127.0.0.1", &["http/1.1"]).await;
    let to = BackEnd::parse(&format!("https://{address}")).unwrap();
    let dialer = Dialer::new(&to, Some(&authority.file())).unwrap();
    assert_eq!(heard(&dialer, &to, Speaks::Http1).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_port_that_is_closed_and_a_server_that_is_silent_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = BackEnd::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    let dialer = Dialer::new(&to, Some(&Authority::new().file())).unwrap();
    let silent = dialer.connect(&to, Speaks::Http1, Duration::from_millis(50)).await;
    assert!(matches!(silent, Err(Undialled::Late)), "{silent:?}");
    drop(listener);
    let closed = dialer.connect(&to, Speaks::Http1, SOON).await;
    assert!(matches!(closed, Err(Undialled::Connect(_))), "{closed:?}");
}

#[test]
fn a_file_of_authorities_that_is_none_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let to = BackEnd::parse("https://localhost").unwrap();
    for text in [None, Some("not a certificate"), Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let error = Dialer::new(&to, Some(&file)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: ", file.display())) && error.ends_with("in PEM"), "{error}");
    }
    let plain = BackEnd::parse("http://localhost").unwrap();
    assert!(Dialer::new(&plain, Some(&file)).is_ok(), "without TLS nobody is verified");
}
