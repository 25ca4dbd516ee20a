import { defineFeature } from '@/feature'
import en from './en'
import ru from './ru'

export const account = defineFeature({
  name: 'account',
  routes: [
    {
      path: '/account',
      name: 'account',
      component: () => import('./OwnAccess.vue'),
      meta: { right: 'own_access', title: 'account.title' },
    },
  ],
  navigation: [{ to: '/account', icon: 'i-lucide-key-round', group: 'system', right: 'own_access' }],
  texts: { en, ru },
})
