import { defineFeature } from '@/feature'
import en from './en'
import ru from './ru'

export const system = defineFeature({
  name: 'system',
  routes: [
    {
      path: '/system',
      name: 'system',
      component: () => import('./SystemPage.vue'),
      meta: { right: 'platform_read', title: 'system.title' },
    },
    {
      path: '/settings',
      name: 'settings',
      component: () => import('./SettingsPage.vue'),
      meta: { right: 'platform_read', title: 'system.settings.title' },
    },
  ],
  navigation: [
    { to: '/settings', text: 'system.settings.title', icon: 'i-lucide-sliders-horizontal', group: 'system', right: 'platform_read' },
    { to: '/system', icon: 'i-lucide-server', group: 'system', right: 'platform_read' },
  ],
  texts: { en, ru },
})
