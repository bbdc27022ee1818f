/* Those of libcrypto's functions that are used, found in the very library that Python's own hashlib uses: no header is
 * needed. The same in OpenSSL 1.1 and 3. */
#ifndef EVENTSTORE_NATIVE_SHA_H
#define EVENTSTORE_NATIVE_SHA_H

#include "native.h"

typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct evp_md_st EVP_MD;

#define DIGEST 32

#define CRYPTO_FUNCTIONS(X)                                                                                           \
    X(EVP_MD_CTX *, MD_CTX_new, (void))                                                                               \
    X(void, MD_CTX_free, (EVP_MD_CTX *))                                                                              \
    X(int, MD_CTX_copy_ex, (EVP_MD_CTX *, const EVP_MD_CTX *))                                                        \
    X(const EVP_MD *, sha256, (void))                                                                                 \
    X(int, DigestInit_ex, (EVP_MD_CTX *, const EVP_MD *, void *))                                                     \
    X(int, DigestUpdate, (EVP_MD_CTX *, const void *, size_t))                                                        \
    X(int, DigestFinal_ex, (EVP_MD_CTX *, unsigned char *, unsigned *))

#define CRYPTO_POINTER(result, name, parameters) result(*name) parameters;
typedef struct {
    CRYPTO_FUNCTIONS(CRYPTO_POINTER)
} Crypto;

extern Crypto CRYPTO;

PyObject *sha_copy(PyObject *other);
EVP_MD_CTX *sha_context(PyObject *self);

#endif
