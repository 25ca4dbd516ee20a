import { defineFeature } from '@/feature'
import en from './en'
import ru from './ru'

export const audit = defineFeature({
  name: 'audit',
  routes: [
    {
      path: '/audit',
      name: 'audit',
      component: () => import('./AuditList.vue'),
      meta: { right: 'platform_read', title: 'audit.title' },
    },
  ],
  navigation: [{ to: '/audit', icon: 'i-lucide-scroll-text', group: 'system', letter: 'a', right: 'platform_read' }],
  texts: { en, ru },
})
