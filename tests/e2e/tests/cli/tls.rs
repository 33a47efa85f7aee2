//! Redis behind TLS.

use std::fs;

use crate::support::{Scratch, redis_with_module, strata};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use strata_servers::{RedisServer, ports};

/// Gives a running Redis a certificate for localhost and a TLS port; returns the authority that signed it.
fn switch_tls_on(redis: &RedisServer, port: u16) -> String {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    for (name, text) in [("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem()), ("ca.pem", authority.pem())]
    {
        fs::write(redis.data_dir().join(name), text).unwrap();
    }
    redis::cmd("CONFIG")
        .arg("SET")
        .arg(&["tls-cert-file", "cert.pem", "tls-key-file", "key.pem", "tls-ca-cert-file", "ca.pem"])
        .arg(&["tls-auth-clients", "no", "tls-port", &port.to_string()])
        .exec(&mut redis.connection().unwrap())
        .unwrap();
    authority.pem()
}

#[test]
fn a_certificate_is_checked_and_a_known_authority_is_accepted() {
    let (redis, scratch, port) = (redis_with_module(), Scratch::new(), ports::reserve());
    let authority = scratch.file("authority.pem", &switch_tls_on(&redis, port.number()));
    let file = scratch.file("readings.csv", "time,key,x\n2026-01-31,A,1\n");
    let url = format!("rediss://localhost:{}", port.number());

    let run = strata(&["ingest", &file], &[("REDIS_URL", &url), ("SSL_CERT_FILE", &authority)]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("1 sample of 1 series"), "{}", run.stdout);

    let run = strata(&["ingest", &file], &[("REDIS_URL", &url)]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("SSL_CERT_FILE"), "{}", run.stderr);
}
