/** Lists as `DataTable` shows them: read page by page, or whole. */
import { keepPreviousData, useInfiniteQuery, type QueryKey, type UseQueryReturnType } from '@tanstack/vue-query'
import { computed, reactive, type Ref } from 'vue'

/** Rows that one request asks for. */
export const PAGE = 100

export interface Page<T> {
  items: T[]
  /** Where the next page begins; nothing after the last. */
  next?: string | null
}

export interface Listing<T> {
  rows: T[]
  error: unknown
  isLoading: boolean
  hasMore: boolean
  isLoadingMore: boolean
  more: () => void
  retry: () => void
}

/**
 * Reads the pages below this key; `read` gets where a page begins, nothing for the first. What the live stream doesn't
 * tell of is read again after so many milliseconds.
 */
export function usePages<T>(
  key: Ref<QueryKey>,
  read: (from: string | undefined, signal: AbortSignal) => Promise<Page<T>>,
  refetchInterval?: number,
): Listing<T> {
  const query = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam, signal }) => read(pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: Page<T>) => page.next ?? undefined,
    placeholderData: keepPreviousData,
    refetchInterval,
  })
  return reactive({
    rows: computed(() => query.data.value?.pages.flatMap((page) => page.items) ?? []),
    error: computed(() => query.error.value ?? whileTrying(query)),
    isLoading: query.isPending,
    hasMore: query.hasNextPage,
    isLoadingMore: query.isFetchingNextPage,
    more: () => void query.fetchNextPage(),
    retry: () => void query.refetch(),
  }) as Listing<T>
}

/** Why nothing is shown yet, though it is still being tried. */
function whileTrying(query: { isPending: Ref<boolean>; failureReason: Ref<Error | null> }): Error | null {
  return query.isPending.value ? query.failureReason.value : null
}

/** A list that comes whole. */
export function whole<T>(query: UseQueryReturnType<T[], Error>): Listing<T> {
  return reactive({
    rows: computed(() => query.data.value ?? []),
    error: computed(() => query.error.value ?? whileTrying(query)),
    isLoading: query.isPending,
    hasMore: false,
    isLoadingMore: false,
    more: () => {},
    retry: () => void query.refetch(),
  }) as Listing<T>
}
