/*
 * What OpenSSL's own DTLS costs: handshakes of both ends in one process, without a
 * network, each end with a certificate (P-256) that the other asks for, as in DTLS-SRTP.
 * Output: handshakes a CPU-second of one end.
 */
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int any(int ok, X509_STORE_CTX *ctx) { return 1; }

static void die(const char *what)
{
	fprintf(stderr, "%s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static SSL_CTX *context(void)
{
	SSL_CTX *c = SSL_CTX_new(DTLS_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"bench", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, key);
	if (!X509_sign(x, key, EVP_sha256()) || !SSL_CTX_use_certificate(c, x) || !SSL_CTX_use_PrivateKey(c, key)) die("certificate");
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, any);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(c, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET);
	if (SSL_CTX_set_tlsext_use_srtp(c, "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80")) die("use_srtp");
	return c;
}

static SSL *end(SSL_CTX *c, BIO *in, BIO *out)
{
	SSL *s = SSL_new(c);
	SSL_set_bio(s, in, out);
	DTLS_set_link_mtu(s, 1200);
	return s;
}

int main(void)
{
	enum { COUNT = 400 };
	SSL_CTX *c = context();
	clock_t began = clock();
	for (int i = 0; i < COUNT; i++) {
		BIO *there = BIO_new(BIO_s_mem()), *back = BIO_new(BIO_s_mem());
		BIO_set_mem_eof_return(there, -1);
		BIO_set_mem_eof_return(back, -1);
		BIO_up_ref(there);
		BIO_up_ref(back);
		SSL *client = end(c, back, there), *server = end(c, there, back);
		SSL_set_connect_state(client);
		SSL_set_accept_state(server);
		int turns = 0;
		while (!SSL_is_init_finished(client) || !SSL_is_init_finished(server)) {
			SSL_do_handshake(client);
			SSL_do_handshake(server);
			if (++turns > 100) die("no handshake");
		}
		SSL_free(client);
		SSL_free(server);
	}
	printf("%.0f\n", 2.0 * COUNT * CLOCKS_PER_SEC / (clock() - began));
	return 0;
}
