import { defineFeature } from '@/feature'
import en from './en'
import ru from './ru'

export const queues = defineFeature({
  name: 'queues',
  routes: [
    {
      path: '/queues',
      name: 'queues',
      component: () => import('./QueueList.vue'),
      meta: { right: 'platform_read', title: 'queues.title' },
    },
    {
      path: '/workers',
      name: 'workers',
      component: () => import('./WorkerList.vue'),
      meta: { right: 'platform_read', title: 'queues.workers.title' },
    },
  ],
  navigation: [
    { to: '/queues', icon: 'i-lucide-list-end', group: 'engine', letter: 'q', right: 'platform_read' },
    { to: '/workers', text: 'queues.workers.title', icon: 'i-lucide-cpu', group: 'engine', letter: 'w', right: 'platform_read' },
  ],
  texts: { en, ru },
})
