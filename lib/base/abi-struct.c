/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/base-priv.h"

#include <string.h>

/* No struct of this interface will ever be larger; a wild size is caught before it is read. */
enum { MAX_STRUCT_SIZE = 4096 };

int
imig__copy_struct(void *dst, size_t dst_size, const void *src, size_t first_size,
                  imig_error **error)
{
    const unsigned char *bytes = src;
    size_t src_size;

    memset(dst, 0, dst_size);
    if (!src)
        return IMIG_OK;
    memcpy(&src_size, src, sizeof src_size);
    if (src_size < first_size || src_size > MAX_STRUCT_SIZE)
        return imig__fail(error, IMIG_ERR_ABI, "struct size %zu is not known", src_size);
    for (size_t i = dst_size; i < src_size; i++)
        if (bytes[i] != 0)
            return imig__fail(error, IMIG_ERR_ABI, "byte %zu is newer than this library", i);
    memcpy(dst, src, MIN(src_size, dst_size));
    return IMIG_OK;
}

int
imig__check_size(const void *dst, size_t first_size, imig_error **error)
{
    size_t dst_size;

    memcpy(&dst_size, dst, sizeof dst_size);
    if (dst_size < first_size || dst_size > MAX_STRUCT_SIZE)
        return imig__fail(error, IMIG_ERR_ABI, "struct size %zu is not known", dst_size);
    return IMIG_OK;
}

int
imig__check_set(uint64_t set, uint64_t end, imig_error **error)
{
    uint64_t unknown = set & ~(end - 1);

    if (unknown != 0)
        return imig__fail(error, IMIG_ERR_ABI, "bit %d of set is newer than this library",
                          g_bit_nth_lsf((gulong) unknown, -1));
    return IMIG_OK;
}

int
imig__fill_struct(void *dst, const void *src, size_t src_size, size_t first_size,
                  imig_error **error)
{
    size_t dst_size;

    if (imig__check_size(dst, first_size, error) != IMIG_OK)
        return IMIG_ERR_ABI;
    memcpy(&dst_size, dst, sizeof dst_size);
    memset(dst, 0, dst_size);
    memcpy(dst, src, MIN(src_size, dst_size));
    memcpy(dst, &dst_size, sizeof dst_size);
    return IMIG_OK;
}
