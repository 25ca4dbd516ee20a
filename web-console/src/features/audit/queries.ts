/** Who changed what. */
import { computed, type Ref } from 'vue'
import { api, unwrap, type Schemas } from '@/api/client'
import { PAGE, usePages } from '@/api/pages'
import type { paths } from '@/api/schema'
import type { Filter } from '@/components/filters'

export type AuditEntry = Schemas['AuditEntry']
type AuditQuery = NonNullable<paths['/api/v1/staff/audit']['get']['parameters']['query']>

export function useAudit(filter: Ref<Filter>) {
  return usePages<AuditEntry>(
    computed(() => ['audit', filter.value]),
    (before, signal) =>
      unwrap(api.GET('/api/v1/staff/audit', { params: { query: { ...filter.value, before, limit: PAGE } as AuditQuery }, signal })),
  )
}
