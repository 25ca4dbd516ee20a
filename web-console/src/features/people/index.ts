import { defineFeature } from '@/feature'
import en from './en'
import ru from './ru'

export const people = defineFeature({
  name: 'people',
  routes: [
    {
      path: '/people',
      name: 'people',
      component: () => import('./PeopleList.vue'),
      meta: { right: 'platform_admin', title: 'people.title' },
    },
  ],
  navigation: [{ to: '/people', icon: 'i-lucide-users', group: 'setup', letter: 'u', right: 'platform_admin' }],
  texts: { en, ru },
})
