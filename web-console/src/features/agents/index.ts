import { defineFeature } from '@/feature'
import en from './en'
import ru from './ru'

export const agents = defineFeature({
  name: 'agents',
  routes: [
    {
      path: '/agents',
      name: 'agents',
      component: () => import('./AgentList.vue'),
      meta: { right: 'platform_read', title: 'agents.title' },
    },
  ],
  navigation: [{ to: '/agents', icon: 'i-lucide-bot', group: 'setup', right: 'platform_read' }],
  texts: { en, ru },
})
