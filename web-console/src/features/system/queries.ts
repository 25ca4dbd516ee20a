/** What runs where, and how it is configured. */
import { useQuery } from '@tanstack/vue-query'
import { api, unwrap } from '@/api/client'

export function useSystem() {
  return useQuery({
    queryKey: ['system'],
    queryFn: ({ signal }) => unwrap(api.GET('/api/v1/staff/system', { signal })),
    refetchInterval: 15_000,
  })
}

export function useSettings() {
  return useQuery({ queryKey: ['settings'], queryFn: ({ signal }) => unwrap(api.GET('/api/v1/staff/settings', { signal })) })
}
