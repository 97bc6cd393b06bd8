/*
 * A bare relay: what a machine and its kernel cost, and nothing else. One thread, epoll, a
 * connected socket a leg; with SRTP the clients share one socket that is read and written
 * in batches. SRTP is OpenSSL's AES and SHA-1 (RFC 3711, RFC 7714) with a replay window
 * and nothing for wrap-around, which the benchmark does not live to see.
 *
 * Input: "host peers calls kind", then a line for each call: both peers' ports and, with
 * SRTP, the client's session keys and ours: cipher, authentication, salt, in hexadecimal.
 * Output: our port for each peer of each call.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define BATCH 64
#define ROOM 2048

enum { PLAIN, CM80, GCM };

struct crypto {
	EVP_CIPHER_CTX *aes;
	SHA_CTX inner, outer;
	unsigned char salt[14];
	uint64_t high, window;
};

struct leg {
	int fd;
	struct leg *other;
	struct crypto *tx, *rx;
	struct sockaddr_in peer;
	uint32_t ssrc;
	uint16_t seq;
	uint64_t packets, octets;
};

static int kind, shared = -1;
static struct leg *by_port[65536];
static struct mmsghdr in[BATCH], out[BATCH];
static struct iovec in_vec[BATCH], out_vec[BATCH];
static struct sockaddr_in in_name[BATCH], out_name[BATCH];
static unsigned char in_buf[BATCH][ROOM], out_buf[BATCH][ROOM];
static int queued, next_port;

static void die(const char *what) { perror(what); exit(1); }

static void hex(const char *text, unsigned char *to, int n)
{
	for (int i = 0; i < n; i++) {
		unsigned v;
		sscanf(text + 2 * i, "%2x", &v);
		to[i] = v;
	}
}

static struct crypto *crypto_of(const char *key, const char *auth, const char *salt, int encrypt)
{
	struct crypto *c = calloc(1, sizeof *c);
	unsigned char k[16], a[20], pad[64];
	hex(key, k, 16);
	hex(auth, a, 20);
	hex(salt, c->salt, kind == GCM ? 12 : 14);
	c->aes = EVP_CIPHER_CTX_new();
	if (!EVP_CipherInit_ex(c->aes, kind == GCM ? EVP_aes_128_gcm() : EVP_aes_128_ctr(), NULL, k, NULL, encrypt))
		die("cipher");
	for (int i = 0; i < 64; i++) pad[i] = (i < 20 ? a[i] : 0) ^ 0x36;
	SHA1_Init(&c->inner);
	SHA1_Update(&c->inner, pad, 64);
	for (int i = 0; i < 64; i++) pad[i] ^= 0x36 ^ 0x5c;
	SHA1_Init(&c->outer);
	SHA1_Update(&c->outer, pad, 64);
	return c;
}

static void iv_of(const struct crypto *c, const unsigned char *p, unsigned char *iv)
{
	if (kind == GCM) {
		memset(iv, 0, 12);
		memcpy(iv + 2, p + 8, 4);
		memcpy(iv + 10, p + 2, 2);
		for (int i = 0; i < 12; i++) iv[i] ^= c->salt[i];
		return;
	}
	memset(iv, 0, 16);
	memcpy(iv, c->salt, 14);
	for (int i = 0; i < 4; i++) iv[4 + i] ^= p[8 + i];
	for (int i = 0; i < 2; i++) iv[12 + i] ^= p[2 + i];
}

static void tag_of(struct crypto *c, const unsigned char *p, int n, unsigned char *tag)
{
	static const unsigned char roc[4];
	SHA_CTX h = c->inner;
	SHA1_Update(&h, p, n);
	SHA1_Update(&h, roc, 4);
	SHA1_Final(tag, &h);
	h = c->outer;
	SHA1_Update(&h, tag, 20);
	SHA1_Final(tag, &h);
}

static int protect(struct crypto *c, unsigned char *p, int n)
{
	unsigned char iv[16], tag[20];
	int len;
	iv_of(c, p, iv);
	EVP_CipherInit_ex(c->aes, NULL, NULL, NULL, iv, 1);
	if (kind == GCM) {
		EVP_CipherUpdate(c->aes, NULL, &len, p, 12);
		EVP_CipherUpdate(c->aes, p + 12, &len, p + 12, n - 12);
		EVP_CipherFinal_ex(c->aes, p + n, &len);
		EVP_CIPHER_CTX_ctrl(c->aes, EVP_CTRL_GCM_GET_TAG, 16, p + n);
		return n + 16;
	}
	EVP_CipherUpdate(c->aes, p + 12, &len, p + 12, n - 12);
	tag_of(c, p, n, tag);
	memcpy(p + n, tag, 10);
	return n + 10;
}

static int unprotect(struct crypto *c, unsigned char *p, int n)
{
	unsigned char iv[16], tag[20];
	uint64_t index = p[2] << 8 | p[3];
	int len;
	if (n < 12 + 16) return -1;
	if (index + 64 <= c->high || (index <= c->high && c->window >> (c->high - index) & 1)) return -1;
	iv_of(c, p, iv);
	if (kind == GCM) {
		n -= 16;
		EVP_CipherInit_ex(c->aes, NULL, NULL, NULL, iv, 0);
		EVP_CIPHER_CTX_ctrl(c->aes, EVP_CTRL_GCM_SET_TAG, 16, p + n);
		EVP_CipherUpdate(c->aes, NULL, &len, p, 12);
		EVP_CipherUpdate(c->aes, p + 12, &len, p + 12, n - 12);
		if (EVP_CipherFinal_ex(c->aes, p + n, &len) <= 0) return -1;
	} else {
		n -= 10;
		tag_of(c, p, n, tag);
		if (CRYPTO_memcmp(p + n, tag, 10)) return -1;
		EVP_CipherInit_ex(c->aes, NULL, NULL, NULL, iv, 0);
		EVP_CipherUpdate(c->aes, p + 12, &len, p + 12, n - 12);
	}
	if (index > c->high) {
		uint64_t by = index - c->high;
		c->window = by < 64 ? c->window << by | 1 : 1;
		c->high = index;
	} else {
		c->window |= 1ull << (c->high - index);
	}
	return n;
}

static void flush(void)
{
	for (int at = 0; at < queued;) {
		int n = sendmmsg(shared, out + at, queued - at, 0);
		at += n > 0 ? n : 1;
	}
	queued = 0;
}

static void relay(struct leg *from, unsigned char *p, int n)
{
	struct leg *to = from->other;
	if (n < 12 || p[0] >> 6 != 2) return;
	if (from->rx && (n = unprotect(from->rx, p, n)) < 0) return;
	to->seq++;
	p[2] = to->seq >> 8;
	p[3] = to->seq;
	memcpy(p + 8, &to->ssrc, 4);
	if (to->tx) n = protect(to->tx, p, n);
	to->packets++;
	to->octets += n;
	if (to->fd != shared) {
		send(to->fd, p, n, 0);
		return;
	}
	memcpy(out_buf[queued], p, n);
	out_vec[queued].iov_len = n;
	out_name[queued] = to->peer;
	if (++queued == BATCH) flush();
}

static int bound(const char *host)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(next_port++)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	inet_pton(AF_INET, host, &a.sin_addr);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a)) die("bind");
	return fd;
}

static int port_of(int fd)
{
	struct sockaddr_in a;
	socklen_t n = sizeof a;
	getsockname(fd, (struct sockaddr *)&a, &n);
	return ntohs(a.sin_port);
}

int main(void)
{
	char host[64], peers[64], name[32];
	struct rlimit files;
	struct epoll_event events[128];
	int calls, epoll = epoll_create1(0);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (scanf("%63s %d %63s %d %31s", host, &next_port, peers, &calls, name) != 5) return 1;
	kind = !strcmp(name, "srtp-gcm") ? GCM : !strcmp(name, "srtp-cm80") ? CM80 : PLAIN;
	if (kind != PLAIN) {
		int size = 4 << 20;
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
		shared = bound(host);
		setsockopt(shared, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
		setsockopt(shared, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
		epoll_ctl(epoll, EPOLL_CTL_ADD, shared, &e);
	}
	for (int i = 0; i < BATCH; i++) {
		in_vec[i] = (struct iovec){in_buf[i], ROOM};
		out_vec[i] = (struct iovec){out_buf[i], 0};
		in[i].msg_hdr = (struct msghdr){.msg_name = &in_name[i], .msg_namelen = sizeof in_name[i], .msg_iov = &in_vec[i], .msg_iovlen = 1};
		out[i].msg_hdr = (struct msghdr){.msg_name = &out_name[i], .msg_namelen = sizeof out_name[i], .msg_iov = &out_vec[i], .msg_iovlen = 1};
	}
	for (int i = 0; i < calls; i++) {
		struct leg *pair = calloc(2, sizeof *pair);
		char key[2][3][64];
		int port[2];
		if (scanf("%d %d", &port[0], &port[1]) != 2) return 1;
		for (int n = 0; kind != PLAIN && n < 2; n++)
			if (scanf("%63s %63s %63s", key[n][0], key[n][1], key[n][2]) != 3) return 1;
		for (int n = 0; n < 2; n++) {
			struct leg *l = &pair[n];
			l->other = &pair[1 - n];
			l->ssrc = htonl(0x20000 + 2 * i + n);
			l->peer.sin_family = AF_INET;
			l->peer.sin_port = htons(port[n]);
			inet_pton(AF_INET, peers, &l->peer.sin_addr);
			if (n == 1 && kind != PLAIN) {
				l->fd = shared;
				l->rx = crypto_of(key[0][0], key[0][1], key[0][2], 0);
				l->tx = crypto_of(key[1][0], key[1][1], key[1][2], 1);
				by_port[port[n]] = l;
			} else {
				struct epoll_event e = {.events = EPOLLIN, .data.ptr = l};
				l->fd = bound(host);
				if (connect(l->fd, (struct sockaddr *)&l->peer, sizeof l->peer)) die("connect");
				epoll_ctl(epoll, EPOLL_CTL_ADD, l->fd, &e);
			}
		}
		printf("%d %d\n", port_of(pair[0].fd), port_of(pair[1].fd));
	}
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll, events, 128, -1);
		for (int i = 0; i < n; i++) {
			struct leg *l = events[i].data.ptr;
			if (l) {
				int len = recv(l->fd, in_buf[0], ROOM - 64, 0);
				if (len > 0) relay(l, in_buf[0], len);
				continue;
			}
			for (int k = 0; k < BATCH; k++) in[k].msg_hdr.msg_namelen = sizeof in_name[k];
			int got = recvmmsg(shared, in, BATCH, 0, NULL);
			for (int k = 0; k < got; k++) {
				struct leg *from = by_port[ntohs(in_name[k].sin_port)];
				if (from) relay(from, in_buf[k], in[k].msg_len);
			}
		}
		if (queued) flush();
	}
}
