import { defineFeature } from '@/feature'
import en from './en'
import ru from './ru'

/** Where `codex-k8s login` sends people. */
export const device = defineFeature({
  name: 'device',
  routes: [
    {
      path: '/device',
      name: 'device',
      component: () => import('./DeviceSignIn.vue'),
      meta: { right: 'own_access', title: 'device.title' },
    },
  ],
  texts: { en, ru },
})
