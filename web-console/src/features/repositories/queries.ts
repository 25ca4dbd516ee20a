/** Repositories, and what sets them up. */
import { useQuery, useQueryClient } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { useAction } from '@/api/action'
import { api, unwrap, type Schemas } from '@/api/client'
import { PAGE, usePages } from '@/api/pages'
import { ifMatch } from '@/api/seen'

export type Repository = Schemas['Repository']
export type Check = Schemas['Check']

const keys = {
  all: ['repositories'] as const,
  list: (project: string | undefined) => ['repositories', 'list', project ?? ''] as const,
  one: (id: number) => ['repositories', 'one', id] as const,
}
const PROJECTS = ['projects'] as const

export function useRepositories(project: Ref<string | undefined>) {
  return usePages<Repository>(
    computed(() => keys.list(project.value)),
    (before, signal) =>
      unwrap(api.GET('/api/v1/staff/repositories', { params: { query: { project: project.value, before, limit: PAGE } }, signal })),
  )
}

export function useRepository(id: Ref<number>) {
  return useQuery({
    queryKey: computed(() => keys.one(id.value)),
    queryFn: ({ signal }) =>
      unwrap(api.GET('/api/v1/staff/repositories/{id}', { params: { path: { id: id.value } }, signal })),
  })
}

export function useAddRepository(slug: Ref<string>) {
  return useAction(
    (name: string) =>
      unwrap(
        api.POST('/api/v1/staff/projects/{slug}/repositories', { params: { path: { slug: slug.value } }, body: { name } }),
      ),
    [keys.all, PROJECTS],
  )
}

export function useRemoveRepository() {
  return useAction(
    ({ id, seen }: { id: number; seen: string | undefined }) =>
      unwrap(api.DELETE('/api/v1/staff/repositories/{id}', { params: { path: { id }, header: ifMatch(seen) } })),
    [keys.all, PROJECTS],
  )
}

type Seen = { seen: string | undefined }
export type Step = 'preflight' | 'webhook' | 'labels' | ({ removeToken: true } & Seen) | ({ token: string } & Seen)

/** What sets it up; each answers with the repository as it is then. */
export function useSetUp(id: Ref<number>) {
  const queries = useQueryClient()
  return useAction(async (step: Step) => {
    const params = { path: { id: id.value } }
    const repository = await unwrap(
      step === 'preflight'
        ? api.POST('/api/v1/staff/repositories/{id}/preflight', { params })
        : step === 'webhook'
          ? api.POST('/api/v1/staff/repositories/{id}/webhook', { params })
          : step === 'labels'
            ? api.POST('/api/v1/staff/repositories/{id}/labels', { params })
            : 'token' in step
              ? api.PUT('/api/v1/staff/repositories/{id}/token', {
                  params: { ...params, header: ifMatch(step.seen) },
                  body: { token: step.token },
                })
              : api.DELETE('/api/v1/staff/repositories/{id}/token', { params: { ...params, header: ifMatch(step.seen) } }),
    )
    queries.setQueryData(keys.one(id.value), repository)
    return repository
  }, [keys.all])
}
