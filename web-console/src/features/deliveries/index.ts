import { defineFeature } from '@/feature'
import en from './en'
import ru from './ru'

export const deliveries = defineFeature({
  name: 'deliveries',
  routes: [
    {
      path: '/deliveries',
      name: 'deliveries',
      component: () => import('./DeliveryList.vue'),
      meta: { right: 'project_read', title: 'deliveries.title' },
    },
    {
      path: '/deliveries/:id',
      name: 'delivery',
      props: ({ params }) => ({ id: String(params.id) }),
      component: () => import('./DeliveryDetail.vue'),
      meta: { right: 'project_read', title: 'deliveries.one' },
    },
  ],
  navigation: [{ to: '/deliveries', icon: 'i-lucide-webhook', group: 'work', letter: 'd', right: 'project_read' }],
  texts: { en, ru },
})
