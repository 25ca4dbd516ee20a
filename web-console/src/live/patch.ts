/** Writes changed rows into what a list shows, in place: nothing is asked again, nothing jumps. */
import type { InfiniteData, QueryClient, QueryKey } from '@tanstack/vue-query'
import type { Page } from '@/api/pages'

/**
 * Whether a row fits a filter; null where its line doesn't tell: then it stays where it is and comes nowhere new.
 */
export type Belongs = boolean | null

/**
 * The pages with this row as it is now. One that no longer belongs there goes; a new one that belongs comes first, as
 * lists show the newest first.
 */
export function patchPages<T>(
  data: InfiniteData<Page<T>>,
  row: T,
  id: (row: T) => string | number,
  belongs: Belongs,
): InfiniteData<Page<T>> {
  const at = data.pages.findIndex((page) => page.items.some((item) => id(item) === id(row)))
  if (at < 0 && belongs !== true) return data
  const pages = data.pages.map((page, index) => {
    if (index === at) {
      const items = belongs !== false
        ? page.items.map((item) => (id(item) === id(row) ? row : item))
        : page.items.filter((item) => id(item) !== id(row))
      return { ...page, items }
    }
    const isNew = at < 0 && index === 0 && isBefore(id(row), page.items[0], id)
    return isNew ? { ...page, items: [row, ...page.items] } : page
  })
  return { ...data, pages }
}

/** Rows further down than what is loaded come with their page. */
function isBefore<T>(row: string | number, first: T | undefined, id: (row: T) => string | number): boolean {
  if (first === undefined) return true
  const other = id(first)
  return typeof row === 'number' && typeof other === 'number' ? row > other : true
}

/** Patches every cached list below this key; `belongs` says whether the row fits the list's filter. */
export function patchLists<T, F>(
  client: QueryClient,
  key: QueryKey,
  row: T,
  id: (row: T) => string | number,
  belongs: (row: T, filter: F) => Belongs,
): void {
  for (const query of client.getQueryCache().findAll({ queryKey: key })) {
    const data = query.state.data as InfiniteData<Page<T>> | undefined
    if (!data?.pages) continue
    const filter = query.queryKey.at(-1) as F
    client.setQueryData(query.queryKey, patchPages(data, row, id, belongs(row, filter)))
  }
}

/** A list that was scrolled further than this isn't read anew from its beginning: that would be a request for each page. */
const MOST_PAGES = 5

/** Reads lists anew that may have missed something; those that were scrolled far down only when they are opened again. */
export function refreshLists(client: QueryClient, key: QueryKey): void {
  void client.invalidateQueries({ queryKey: key, refetchType: 'none' })
  void client.refetchQueries({
    queryKey: key,
    type: 'active',
    predicate: ({ state }) => {
      const data = state.data as InfiniteData<unknown> | undefined
      return (data?.pages?.length ?? 0) <= MOST_PAGES
    },
  })
}
