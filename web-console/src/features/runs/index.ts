import { defineFeature } from '@/feature'
import en from './en'
import ru from './ru'

export const runs = defineFeature({
  name: 'runs',
  routes: [
    {
      path: '/runs',
      name: 'runs',
      component: () => import('./RunList.vue'),
      meta: { right: 'project_read', title: 'runs.title' },
    },
    {
      path: '/runs/:id(\\d+)',
      name: 'run',
      props: ({ params }) => ({ id: Number(params.id) }),
      component: () => import('./RunDetail.vue'),
      meta: { right: 'project_read', title: 'runs.one' },
    },
  ],
  navigation: [{ to: '/runs', icon: 'i-lucide-bot', group: 'work', letter: 'r', right: 'project_read' }],
  palette: [
    {
      id: 'running',
      text: 'palette.running',
      icon: 'i-lucide-loader-circle',
      right: 'project_read',
      act: (router) => router.push({ path: '/runs', query: { status: 'running' } }),
    },
    {
      id: 'failed',
      text: 'palette.failed',
      icon: 'i-lucide-circle-x',
      right: 'project_read',
      act: (router) => router.push({ path: '/runs', query: { status: 'failed' } }),
    },
  ],
  texts: { en, ru },
})
