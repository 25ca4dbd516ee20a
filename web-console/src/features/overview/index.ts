import { defineFeature } from '@/feature'
import en from './en'
import ru from './ru'

export const overview = defineFeature({
  name: 'overview',
  routes: [
    {
      path: '/overview',
      name: 'overview',
      component: () => import('./Overview.vue'),
      meta: { right: 'platform_read', title: 'overview.title' },
    },
  ],
  navigation: [{ to: '/overview', icon: 'i-lucide-activity', group: 'work', letter: 'o', right: 'platform_read' }],
  texts: { en, ru },
})
