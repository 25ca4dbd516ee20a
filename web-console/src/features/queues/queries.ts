/** Queues, pauses and workers. */
import { useQuery } from '@tanstack/vue-query'
import { useAction } from '@/api/action'
import { api, unwrap, type Schemas } from '@/api/client'
import { ifMatch } from '@/api/seen'

export type QueueLine = Schemas['QueueLine']
export type PauseLine = Schemas['PauseLine']
export type LiveWorker = Schemas['LiveWorker']
export type Limits = Schemas['Limits']

export const queueKeys = {
  all: ['queues'] as const,
  list: ['queues', 'list'] as const,
  pauses: ['queues', 'pauses'] as const,
  workers: ['queues', 'workers'] as const,
}

export function useQueues() {
  return useQuery({
    queryKey: queueKeys.list,
    queryFn: ({ signal }) => unwrap(api.GET('/api/v1/staff/queues', { signal })),
    refetchInterval: 15_000,
  })
}

export function usePauses() {
  return useQuery({
    queryKey: queueKeys.pauses,
    queryFn: ({ signal }) => unwrap(api.GET('/api/v1/staff/queues/pauses', { signal })),
    refetchInterval: 15_000,
  })
}

export function useWorkers() {
  return useQuery({
    queryKey: queueKeys.workers,
    queryFn: ({ signal }) => unwrap(api.GET('/api/v1/staff/workers', { signal })),
    refetchInterval: 3_000,
  })
}

export function useDrainWorker() {
  return useAction(
    ({ name, reason }: { name: string; reason: string | undefined }) =>
      unwrap(api.POST('/api/v1/staff/workers/{name}/drain', { params: { path: { name }, query: { reason } } })),
    [queueKeys.workers],
  )
}

export type PauseWish = Schemas['PauseWish']

export function usePause() {
  return useAction(
    ({ wish, isPaused }: { wish: PauseWish; isPaused: boolean }) =>
      isPaused
        ? unwrap(api.POST('/api/v1/staff/queues/pause', { body: wish }))
        : unwrap(api.POST('/api/v1/staff/queues/resume', { body: wish })),
    [queueKeys.all],
  )
}

export function useSetLimits() {
  return useAction(
    ({ name, seen, limits }: { name: string; seen: string | undefined; limits: Schemas['SetLimits'] }) =>
      unwrap(api.PUT('/api/v1/staff/queues/{name}/limits', { params: { path: { name }, header: ifMatch(seen) }, body: limits })),
    [queueKeys.all],
  )
}
