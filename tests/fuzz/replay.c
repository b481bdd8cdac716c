/* replay: runs a fuzz target once over each file named, and over each file of the folders named, in
 * builds without libFuzzer. A file or folder that does not exist is passed by: a target without a
 * finding has no regression folder. Exit status 1 where there was no input at all. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned inputs;

/* The input has a block of exactly its size, so that AddressSanitizer sees a byte read too many. */
static void run_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (file != NULL && data != NULL && fread(data, 1, size, file) == size) {
        LLVMFuzzerTestOneInput(data, size);
        inputs++;
    }
    free(data);
    if (file != NULL)
        fclose(file);
}

static void run_folder(const char *path);

static void run_path(const char *path)
{
    struct stat s;
    if (stat(path, &s) != 0)
        return;
    if (S_ISDIR(s.st_mode))
        run_folder(path);
    else
        run_file(path, (size_t)s.st_size);
}

static void run_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return;
    for (struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
        char whole[4096];
        if (e->d_name[0] == '.')
            continue;
        if ((size_t)snprintf(whole, sizeof whole, "%s/%s", path, e->d_name) < sizeof whole)
            run_path(whole);
    }
    closedir(folder);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    printf("Tested: %u | Failed: 0\n", inputs);
    return inputs > 0 ? 0 : 1;
}
