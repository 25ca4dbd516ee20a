/** Projects and their members. */
import { useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { useAction } from '@/api/action'
import { api, unwrap, type Schemas } from '@/api/client'
import { PAGE, usePages } from '@/api/pages'
import { ifMatch } from '@/api/seen'

export type Project = Schemas['Project']
export type Member = Schemas['Member']
export type ProjectRole = Schemas['ProjectRole']

export const ROLES: readonly ProjectRole[] = ['read', 'read_write', 'admin']

export const projectKeys = {
  all: ['projects'] as const,
  list: (archived: boolean) => ['projects', 'list', archived] as const,
  one: (slug: string) => ['projects', 'one', slug] as const,
  members: (slug: string) => ['projects', 'members', slug] as const,
}

export function useProjects(archived: Ref<boolean>) {
  return usePages<Project>(
    computed(() => projectKeys.list(archived.value)),
    (before, signal) =>
      unwrap(api.GET('/api/v1/staff/projects', { params: { query: { archived: archived.value, before, limit: PAGE } }, signal })),
  )
}

export function useProject(slug: Ref<string>) {
  return useQuery({
    queryKey: computed(() => projectKeys.one(slug.value)),
    queryFn: ({ signal }) => unwrap(api.GET('/api/v1/staff/projects/{slug}', { params: { path: { slug: slug.value } }, signal })),
  })
}

export function useMembers(slug: Ref<string>) {
  return useQuery({
    queryKey: computed(() => projectKeys.members(slug.value)),
    queryFn: ({ signal }) =>
      unwrap(api.GET('/api/v1/staff/projects/{slug}/members', { params: { path: { slug: slug.value } }, signal })),
  })
}

export function useCreateProject() {
  return useAction(
    (body: Schemas['NewProjectWish']) => unwrap(api.POST('/api/v1/staff/projects', { body })),
    [projectKeys.all],
  )
}

export function useSetProject() {
  return useAction(
    ({ slug, seen, body }: { slug: string; seen: string | undefined; body: Schemas['ProjectWish'] }) =>
      unwrap(api.PUT('/api/v1/staff/projects/{slug}', { params: { path: { slug }, header: ifMatch(seen) }, body })),
    [projectKeys.all],
  )
}

/** `person`: the number, or the e-mail address by which they were invited; `seen`: `null` where no member was seen. */
export function useSetMember(slug: Ref<string>) {
  return useAction(
    ({ person, seen, role }: { person: string; seen: string | null; role: ProjectRole }) =>
      unwrap(
        api.PUT('/api/v1/staff/projects/{slug}/members/{id}', {
          params: { path: { slug: slug.value, id: person }, header: seen === null ? { 'If-None-Match': '*' } : ifMatch(seen) },
          body: { role },
        }),
      ),
    [projectKeys.all],
  )
}

export function useRemoveMember(slug: Ref<string>) {
  return useAction(
    ({ person, seen }: { person: string; seen: string | undefined }) =>
      unwrap(
        api.DELETE('/api/v1/staff/projects/{slug}/members/{id}', {
          params: { path: { slug: slug.value, id: person }, header: ifMatch(seen) },
        }),
      ),
    [projectKeys.all],
  )
}
