/**
 * For Node, so that it fits a small board; its defaults let the heap grow by hundreds of megabytes before it is swept. Live data is some
 * 50 MB at 200 beds, and at most 150 MB more while state is rebuilt. Measured at 200 beds: with half of this bound 257 MB PSS instead of 290.
 */
export const NODE_MEMORY_FLAGS = ["--max-semi-space-size=8", "--max-old-space-size=384"] as const;

/** For the C library: its default of eight arenas a core keeps what each thread freed to itself. */
export const MALLOC_ENVIRONMENT = { MALLOC_ARENA_MAX: "2" } as const;
