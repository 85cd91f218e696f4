/* Rows go down the trees of a forest, and what their leaves say is added up. Called by descent.py, which says what the
   arrays are. The sums are those of the same loop in numpy, to the bit: doubles, a tree after the other. */
#include <stdint.h>
#include <string.h>

enum {
    TOGETHER = 12, /* rows that go down side by side: while one waits for its node, the others go on */
    STRIDE = 5,    /* levels after which it is looked whether all of them have come to a leaf */
    BLOCK = 512    /* rows whose columns and sums stay near while they meet all trees; descent.py makes room for them */
};

typedef struct {
    float threshold; /* of a leaf infinity, so that a row that has come to one stays */
    int32_t column;
    int32_t right; /* the left child stands before it; of a leaf the next node */
    int32_t leaf;  /* which row of the leaves' values; -1 of an inner node */
} node;

static void go_down(const node *nodes, const float *matrix, int64_t width, int32_t *at)
{
    int waiting;
    do {
        for (int level = 0; level < STRIDE; level++) {
#pragma GCC unroll 12
            for (int row = 0; row < TOGETHER; row++) {
                const node *now = nodes + at[row];
                /* not above, rather than at most: whatever a number is, nobody leaves a leaf */
                at[row] = now->right - !(matrix[row * width + now->column] > now->threshold);
            }
        }
        waiting = 0;
        for (int row = 0; row < TOGETHER; row++)
            waiting |= nodes[at[row]].leaf < 0;
    } while (waiting);
}

void mean_of_leaves(const float *columns, int64_t rows, int64_t width, const node *nodes, const int32_t *roots,
                    int64_t trees, const double *values, int64_t outputs, float *matrix, double *said)
{
    memset(said, 0, sizeof(double) * (size_t)(rows * outputs));
    for (int64_t start = 0; start < rows; start += BLOCK) {
        int64_t count = rows - start < BLOCK ? rows - start : BLOCK;
        double *sums = said + start * outputs;
        for (int64_t column = 0; column < width; column++)
            for (int64_t row = 0; row < count; row++)
                matrix[row * width + column] = columns[column * rows + start + row];
        for (int64_t tree = 0; tree < trees; tree++) {
            for (int64_t first = 0; first < count; first += TOGETHER) {
                int64_t some = count - first < TOGETHER ? count - first : TOGETHER;
                int32_t at[TOGETHER];
                for (int row = 0; row < TOGETHER; row++)
                    at[row] = roots[tree];
                go_down(nodes, matrix + first * width, width, at);
                for (int64_t row = 0; row < some; row++) {
                    const double *says = values + nodes[at[row]].leaf * outputs;
                    double *sum = sums + (first + row) * outputs;
                    for (int64_t output = 0; output < outputs; output++)
                        sum[output] += says[output];
                }
            }
        }
        for (int64_t number = 0; number < count * outputs; number++)
            sums[number] /= (double)trees;
    }
}
