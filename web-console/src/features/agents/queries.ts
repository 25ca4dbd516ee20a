/** Agents, and how workers run them. */
import { useQuery } from '@tanstack/vue-query'
import { api, unwrap, type Schemas } from '@/api/client'

export type Agent = Schemas['Agent']
export type AgentOnWorker = Schemas['AgentOnWorker']

export function useAgents() {
  return useQuery({
    queryKey: ['agents'],
    queryFn: ({ signal }) => unwrap(api.GET('/api/v1/staff/agents', { signal })),
    refetchInterval: 15_000,
  })
}
